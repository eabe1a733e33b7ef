/** What the coordinator offers about faults that are injected by name; a part of service.ts. */
import type { Result } from '../base/index.ts';
import type { Caller, Page, PageRequest } from './service.ts';

export const FAULT_NAMES = [
  'dropped-ipi',
  'delayed-sync',
  'crash-between-phases',
  'journal-stall',
  'journal-full',
  'clock-jump',
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];

/** How a command ends that crashes between two phases: it is undone, or the whole process is gone. */
export type CrashMode = 'rollback' | 'exit';

/** Which options a fault takes, its name says (docs/operating.md). */
export interface FaultOptions {
  /** How often it happens; 1 when not said. */
  readonly times?: number;
  /** How often it could happen, and does not, before it first does. */
  readonly after?: number;
  /** Only in commands of this kind, of this client. */
  readonly command?: string;
  readonly client?: string;
  /** Only where this place is being poked. */
  readonly place?: string;
  /** Milliseconds. */
  readonly ms?: number;
  /** Number of the CPU that does not answer; 1 when not said. */
  readonly cpu?: number;
  /** The how manieth step of a command it happens at, from 1. */
  readonly phase?: number;
  readonly mode?: CrashMode;
}

export interface FaultRequest extends FaultOptions {
  readonly name: string;
}

/** A fault that is armed, or was until it had happened as often as it should. */
export interface FaultView {
  readonly id: string;
  readonly name: FaultName;
  readonly options: FaultOptions;
  readonly client: string;
  /** ISO 8601. */
  readonly since: string;
  /** How often it could have happened so far. */
  readonly seen: number;
  readonly fired: number;
  /** How often it is still going to happen; 0: it is over. */
  readonly remaining: number;
}

/** Without the flag that the service is started with, all but {@link FaultCalls.faultInjection} answer `fault.not-enabled`. */
export interface FaultCalls {
  /** The service was started so that faults can be injected. */
  faultInjection(): boolean;
  injectFault(caller: Caller, request: FaultRequest): Result<FaultView>;
  faults(page: PageRequest): Result<Page<FaultView>>;
  /** Takes it back: what it holds up goes on, and a clock that has jumped jumps back. */
  removeFault(id: string): Result<FaultView>;
  /** By name, how often each has happened since the service started. */
  faultTotals(): Readonly<Partial<Record<FaultName, number>>>;
  /** Calls back when one is armed, happens or is taken back; returns the unsubscriber. */
  onFault(listener: (what: 'armed' | 'fired' | 'removed', fault: FaultView) => void): () => void;
}
