import type { TracedLine } from '../call-types.ts';
import type { FinishedCall, Workload } from '../workload/workload.ts';
import type { WorkloadReport } from './workload-protocol.ts';

const add = (counts: Map<string, number>, key: string, amount = 1): void => {
  counts.set(key, (counts.get(key) ?? 0) + amount);
};

/** Lines of programs in one report; more than that in a fifth of a second nobody reads. */
const TRACED_MAX = 1_000;

/** Sums up finished calls until somebody wants to know. */
export class Reporter {
  #ended = new Map<string, number>();
  #hits = new Map<string, number>();
  #instructions = new Map<string, number>();
  #misses = new Map<string, Map<string, number>>();
  #traced: TracedLine[] = [];
  #wrong: WorkloadReport['wrong'];
  #ftraceDiedAt: number | undefined;

  add({ call, outcome, wrong }: FinishedCall): void {
    add(this.#ended, outcome.end.kind);
    for (const { attachment, instructions } of outcome.fired) {
      add(this.#hits, attachment);
      add(this.#instructions, attachment, instructions);
    }
    for (const { attachment, reason } of outcome.misses) {
      const reasons = this.#misses.get(attachment) ?? new Map<string, number>();
      this.#misses.set(attachment, reasons);
      add(reasons, reason);
    }
    this.#traced.push(...outcome.traced.slice(0, Math.max(0, TRACED_MAX - this.#traced.length)));
    if (wrong !== undefined) this.#wrong ??= { call, detail: wrong };
    this.#ftraceDiedAt ??= outcome.ftraceDiedAt;
  }

  /** What came since the last time. */
  take(workload: Workload): WorkloadReport {
    const report: WorkloadReport = {
      counts: { ...workload.counts },
      inFlight: workload.inFlight,
      version: workload.version,
      ended: Object.fromEntries(this.#ended),
      fired: [...this.#hits].map(([attachment, hits]) => ({
        attachment,
        hits,
        instructions: this.#instructions.get(attachment) ?? 0,
      })),
      misses: [...this.#misses].flatMap(([attachment, reasons]) =>
        [...reasons].map(([reason, count]) => ({ attachment, reason, count })),
      ),
      traced: this.#traced,
      ...(this.#wrong === undefined ? {} : { wrong: this.#wrong }),
      ...(this.#ftraceDiedAt === undefined ? {} : { ftraceDiedAt: this.#ftraceDiedAt }),
    };
    this.#ended = new Map();
    this.#hits = new Map();
    this.#instructions = new Map();
    this.#misses = new Map();
    this.#traced = [];
    this.#ftraceDiedAt = undefined;
    return report;
  }
}
