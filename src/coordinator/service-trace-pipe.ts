/** What the coordinator offers of `trace_pipe`; a part of service.ts. */
import type { Result } from '../base/index.ts';
import type { Caller } from './service.ts';
import type { RecordsRequest } from './service-maps.ts';

export interface TraceLine {
  /** As the kernel prints it. */
  readonly line: string;
  /** What bpf_trace_printk or bpf_trace_vprintk was given, formatted. */
  readonly text: string;
  readonly cpu: number;
  /** bpf_ktime_get_ns when it was written. */
  readonly timeNs: string;
  /** Whose program wrote it; null for a run by itself. */
  readonly attachment: string | null;
  /** The program of a run by itself. */
  readonly program: string | null;
}

export interface TracePipeLines {
  readonly lines: readonly TraceLine[];
  /** Lines that made room for newer ones since lines were taken last. */
  readonly lost: number;
  /** Lines behind them that are still there. */
  readonly available: number;
}

export interface TracePipeCalls {
  /** Lines of the tenant's programs, oldest first, which stay there. */
  tracePipe(caller: Caller, request: RecordsRequest): Promise<Result<TracePipeLines>>;
  /** The same, and they are gone, as when trace_pipe is read. */
  consumeTracePipe(caller: Caller, request: RecordsRequest): Promise<Result<TracePipeLines>>;
}
