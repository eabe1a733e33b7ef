/** What the coordinator offers of workloads; a part of service.ts. */
import type { Result } from '../base/index.ts';
import type { CallArgumentRequest } from './call-service.ts';
import type { Caller, Page, PageRequest } from './service.ts';

export interface WorkloadCallRequest {
  readonly function: string;
  readonly args: readonly CallArgumentRequest[];
  /** Missing arguments by prototype. */
  readonly sample?: boolean;
}

export interface WorkloadRequest {
  /** Each call is one of them, all equally often. */
  readonly calls: readonly WorkloadCallRequest[];
  /** 1 to 64. */
  readonly cpus?: number;
  readonly callsPerSecond?: number;
  /** It ends by itself then. */
  readonly seconds?: number;
  /** Which calls, on which CPU, how many instructions at a time. */
  readonly seed?: number;
}

export interface WorkloadView {
  readonly id: string;
  readonly client: string;
  readonly since: string;
  readonly state: 'running' | 'stopped' | 'failed';
  /** Why it does not run any more: `stopped`, `time`, or what failed. */
  readonly why: string | null;
  readonly cpus: number;
  readonly functions: readonly string[];
  readonly callsPerSecond: number;
  readonly seconds: number;
  readonly seed: number;
  readonly started: number;
  readonly finished: number;
  readonly inFlight: number;
  /** By what calls ended with. */
  readonly ended: Readonly<Record<string, number>>;
  readonly instructions: number;
  /** Times an owner ran. */
  readonly hits: number;
  readonly misses: number;
  /** Calls that ran while text changed under them. */
  readonly crossed: number;
  /** Traps into a poke under way. */
  readonly pokeTraps: number;
  readonly changes: {
    /** Of owners while CPUs went on. */
    readonly live: number;
    /** For which all calls had to end before. */
    readonly stopped: number;
  };
  /** Calls that did not fire the owners that were there, in their order, or came to another result; the first is told. */
  readonly wrong: number;
  readonly firstWrong: string | null;
}

export interface WorkloadCalls {
  startWorkload(caller: Caller, request: WorkloadRequest): Result<WorkloadView>;
  workloads(page: PageRequest): Result<Page<WorkloadView>>;
  workload(id: string): Result<WorkloadView>;
  /** Answers when every call has ended that had begun. */
  stopWorkload(caller: Caller, id: string): Promise<Result<WorkloadView>>;
}
