/** The faults of one command while it is carried out. */
import type { Fault } from '../../base/index.ts';
import { refuse } from '../../registry/index.ts';
import type { PokeTrail } from '../../textpoke/index.ts';
import type { CarryOutStep, Trial } from '../carry-out.ts';
import type { FaultName } from '../service-faults.ts';
import type { ArmedFault, FaultBook } from './fault-book.ts';
import { FAULT_CRASH, FAULT_DROPPED_IPI } from './rules.ts';

const IN_COMMANDS: readonly FaultName[] = ['dropped-ipi', 'delayed-sync', 'crash-between-phases'];

/** A fault could hit a command now. */
export const mayHitCommands = (book: FaultBook): boolean => book.isArmed(IN_COMMANDS);

export interface TriedCommand {
  readonly kind: string;
  readonly client: string;
  /** What it does, for people. */
  readonly what: string;
  readonly placeOf: (at: number) => string;
}

type Sites = readonly { readonly at: number }[];

export class CommandTrial implements Trial {
  readonly trail: PokeTrail;
  readonly #book: FaultBook;
  readonly #command: TriedCommand;
  /** Of each fault that crashes between phases: how many steps of this command it has seen. */
  readonly #steps = new Map<string, number>();
  readonly #holdUps: { readonly fault: ArmedFault; readonly ms: number }[] = [];
  #rounds = 0;

  constructor(book: FaultBook, trail: PokeTrail, command: TriedCommand) {
    this.#book = book;
    this.trail = trail;
    this.#command = command;
  }

  /** Milliseconds by which sync rounds of this command are late. */
  get delayMs(): number {
    return this.#holdUps.reduce((sum, { ms }) => sum + ms, 0);
  }

  /** Resolves when the sync rounds that are late have come to their end. */
  async late(): Promise<void> {
    for (const { fault, ms } of this.#holdUps) await this.#book.holdUp(fault, ms);
  }

  at(step: CarryOutStep, sites: Sites): Fault | undefined {
    return this.#crash(step, sites) ?? (step.kind === 'sync' ? this.#sync(step.after, sites) : undefined);
  }

  #crash(step: CarryOutStep, sites: Sites): Fault | undefined {
    const fault = this.#book.take('crash-between-phases', (armed) => {
      if (!this.#isMeant(armed, sites)) return false;
      const steps = (this.#steps.get(armed.id) ?? 0) + 1;
      this.#steps.set(armed.id, steps);
      return steps === armed.options.phase;
    });
    if (fault === undefined) return undefined;
    if (fault.options.mode === 'exit') this.#book.crash(fault);
    return refuse(FAULT_CRASH, {
      detail: `${fault.id} ended "${this.#command.what}" at its step ${fault.options.phase} (${step.kind}); what it had poked was undone.`,
      ...this.#place(fault, sites),
    });
  }

  #sync(after: string, sites: Sites): Fault | undefined {
    this.#rounds += 1;
    const late = this.#book.take('delayed-sync', (armed) => this.#isMeant(armed, sites));
    if (late !== undefined) this.#holdUps.push({ fault: late, ms: late.options.ms ?? 0 });
    const dropped = this.#book.take('dropped-ipi', (armed) => this.#isMeant(armed, sites));
    if (dropped === undefined) return undefined;
    const cpu = dropped.options.cpu ?? 1;
    return refuse(FAULT_DROPPED_IPI, {
      detail: `${dropped.id} kept CPU ${cpu} from acknowledging sync round ${this.#rounds} (${after}) of "${this.#command.what}"; what it had poked was undone.`,
      ...this.#place(dropped, sites),
    });
  }

  #isMeant({ options: { command, client }, at }: ArmedFault, sites: Sites): boolean {
    return (
      (command === undefined || command === this.#command.kind) &&
      (client === undefined || client === this.#command.client) &&
      (at === undefined || sites.some((site) => site.at === at))
    );
  }

  /** The place that the fault is about, else the first that is being poked. */
  #place({ at }: ArmedFault, [first]: Sites): { readonly place?: string } {
    const site = at ?? first?.at;
    return site === undefined ? {} : { place: this.#command.placeOf(site) };
  }
}
