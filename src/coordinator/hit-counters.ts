import type { AttachmentCounters, CallTotals } from './call-service.ts';

interface Counts {
  hits: number;
  instructions: number;
  readonly misses: Map<string, number>;
}

const NONE: AttachmentCounters = Object.freeze({ hits: 0, instructions: 0, misses: Object.freeze({}) });

/** What one call tells of owners. */
export interface CountedCall {
  readonly ended: string;
  readonly fired: readonly { readonly attachment: string; readonly instructions: number }[];
  readonly misses: readonly { readonly attachment: string; readonly reason: string }[];
}

/** The same of several calls. */
export interface CountedCalls {
  readonly ended: Readonly<Record<string, number>>;
  readonly fired: readonly { readonly attachment: string; readonly hits: number; readonly instructions: number }[];
  readonly misses: readonly { readonly attachment: string; readonly reason: string; readonly count: number }[];
}

type KindOf = (attachment: string) => string | undefined;

/**
 * How often attachments ran, and how often one would have and did not. Kept in memory, as Linux keeps nmissed and the counters of a program: they begin
 * at 0 when the service starts, as after a boot, and end with the attachment. Nothing is decided by them, so that the journal does not need them.
 */
export class HitCounters {
  readonly #byAttachment = new Map<string, Counts>();
  /** By what calls ended with. */
  readonly #calls = new Map<string, number>();
  readonly #hitsByKind = new Map<string, number>();
  readonly #missesByKind = new Map<string, Map<string, number>>();

  /** @param kindOf kind of an attachment that is there; undefined for one that has left meanwhile */
  count({ ended, fired, misses }: CountedCall, kindOf: KindOf): void {
    const hits = fired.map((each) => ({ ...each, hits: 1 }));
    this.countMany(
      { ended: { [ended]: 1 }, fired: hits, misses: misses.map((each) => ({ ...each, count: 1 })) },
      kindOf,
    );
  }

  /** Of several calls. */
  countMany({ ended, fired, misses }: CountedCalls, kindOf: KindOf): void {
    for (const [how, count] of Object.entries(ended)) add(this.#calls, how, count);
    for (const { attachment, hits, instructions } of fired) {
      const kind = kindOf(attachment);
      if (kind === undefined) continue;
      const counts = this.#of(attachment);
      counts.hits += hits;
      counts.instructions += instructions;
      add(this.#hitsByKind, kind, hits);
    }
    for (const { attachment, reason, count } of misses) {
      const kind = kindOf(attachment);
      if (kind === undefined) continue;
      add(this.#of(attachment).misses, reason, count);
      const byReason = this.#missesByKind.get(kind) ?? new Map<string, number>();
      this.#missesByKind.set(kind, byReason);
      add(byReason, reason, count);
    }
  }

  #of(attachment: string): Counts {
    const known = this.#byAttachment.get(attachment);
    if (known !== undefined) return known;
    const made: Counts = { hits: 0, instructions: 0, misses: new Map() };
    this.#byAttachment.set(attachment, made);
    return made;
  }

  /** Forgets attachments that have left. */
  prune(isThere: (attachment: string) => boolean): void {
    for (const attachment of this.#byAttachment.keys()) if (!isThere(attachment)) this.#byAttachment.delete(attachment);
  }

  of(attachment: string): AttachmentCounters {
    const counts = this.#byAttachment.get(attachment);
    if (counts === undefined) return NONE;
    const { hits, instructions, misses } = counts;
    return { hits, instructions, misses: Object.fromEntries(misses) };
  }

  totals(): CallTotals {
    return {
      calls: Object.fromEntries(this.#calls),
      hits: Object.fromEntries(this.#hitsByKind),
      misses: [...this.#missesByKind].flatMap(([kind, reasons]) =>
        [...reasons].map(([reason, count]) => ({ kind, reason, count })),
      ),
    };
  }
}

function add(counts: Map<string, number>, key: string, amount: number): void {
  counts.set(key, (counts.get(key) ?? 0) + amount);
}
