import type { MachineCall, MachineState, TracedLine } from '../call-types.ts';
import type { WorkloadCounts } from '../workload/workload.ts';
import type { ThreadStart } from './protocol.ts';

export interface WorkloadStart extends ThreadStart {
  readonly state: MachineState;
  readonly mix: readonly MachineCall[];
  readonly seed: number;
  readonly callsPerSecond: number;
  readonly maxMs: number;
}

export type ToWorkload = { readonly kind: 'state'; readonly state: MachineState } | { readonly kind: 'stop' };

/** What came since the last report, but for `counts`, which are of all its time. */
export interface WorkloadReport {
  readonly counts: WorkloadCounts;
  readonly inFlight: number;
  /** Version of the state that calls meet that begin now. */
  readonly version: number;
  readonly ended: Readonly<Record<string, number>>;
  readonly fired: readonly { readonly attachment: string; readonly hits: number; readonly instructions: number }[];
  readonly misses: readonly { readonly attachment: string; readonly reason: string; readonly count: number }[];
  readonly traced: readonly TracedLine[];
  /** Of the first call that was not as it has to be. */
  readonly wrong?: { readonly call: number; readonly detail: string };
  readonly ftraceDiedAt?: number;
}

export type FromWorkload =
  | { readonly kind: 'report'; readonly report: WorkloadReport }
  /** Its time was up, or it was stopped; every call that began has ended. */
  | { readonly kind: 'ended'; readonly report: WorkloadReport; readonly why: 'stopped' | 'time' }
  /** The image cannot be read any more, or an exception of ours. */
  | { readonly kind: 'failed'; readonly detail: string };
