/** What a call is asked and what it answers, as plain data that crosses threads. Addresses and values are bigint, places offsets from `_text`. */
import type { RunWrite } from '../jit/index.ts';
import type { Runtime } from '../registry/index.ts';
import type { TextDelta } from './text-delta.ts';

export interface MachineCall {
  readonly function: bigint;
  /** In the order of the calling convention, one word each. */
  readonly args: readonly CallArgument[];
  readonly cpu: number;
  readonly maxInstructions: number;
  readonly maxMs: number;
  /** How many executed instructions to note, from the first on. */
  readonly traceMax: number;
}

export type CallArgument =
  | { readonly kind: 'word'; readonly value: bigint }
  /** Allocated on the heap; the word is its address. Its contents come back. */
  | { readonly kind: 'buffer'; readonly bytes: Uint8Array };

/** Data of a loaded module. Whole pages. */
export interface ModuleMemory {
  readonly name: string;
  readonly address: bigint;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly isWritable: boolean;
}

/** Text and owners at one moment. */
export interface MachineState {
  /** Changes with every change of text or owners: equal versions are equal states. */
  readonly version: number;
  readonly delta: TextDelta;
  readonly runtime: Runtime;
  /** What modules have besides text; none when absent. */
  readonly modules?: readonly ModuleMemory[];
}

export interface FiredRecord {
  readonly attachment: string;
  /** The site or place in text where it was. */
  readonly at: number;
  /** Argument registers of the traced function as the owner saw them, or the words of its context; empty where it saw none. */
  readonly args: readonly bigint[];
  /** What the traced function returned to an owner that sees it, or what an fmod_ret program answered. */
  readonly returnValue?: bigint;
  /** Executed between entering the owner and leaving it. 0 where its part is played by the machine. */
  readonly instructions: number;
}

export type MissReason =
  | 'recursion'
  | 'instances exhausted'
  | 'bypassed by livepatch'
  | 'skipped by fmod_ret'
  | 'ftrace is dead'
  | 'ftrace is disabled';

export interface MissRecord {
  readonly attachment: string;
  readonly reason: MissReason;
}

export interface TracedLine {
  readonly text: string;
  /** Of the program; undefined when no attachment ran it. */
  readonly attachment: string | undefined;
  readonly cpu: number;
  /** bpf_ktime_get_ns at that moment. */
  readonly timeNs: bigint;
}

export type CallEnd =
  | { readonly kind: 'returned'; readonly value: bigint }
  | { readonly kind: 'fault'; readonly fault: CallFault }
  | { readonly kind: 'budget'; readonly exceeded: 'instructions' | 'time' };

export interface CallFault {
  /** `#PF`, `#GP`, `#UD`, `#DE`, `#BP`, `halted`, `panic`, or `not-implemented`. */
  readonly name: string;
  readonly detail: string;
  readonly rip: bigint;
  /** The address that was accessed. */
  readonly address?: bigint;
  /** Bytes around %rip, and where they begin. */
  readonly bytes: Uint8Array;
  readonly bytesAt: bigint;
}

export interface CallOutcome {
  readonly end: CallEnd;
  readonly instructions: number;
  readonly fired: readonly FiredRecord[];
  readonly misses: readonly MissRecord[];
  /** rax … r15, rip, rflags, gs_base when the call ended. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** Lines of the kernel's log, and what programs traced. */
  readonly log: readonly string[];
  /** What programs wrote with bpf_trace_printk and bpf_trace_vprintk. */
  readonly traced: readonly TracedLine[];
  /** By position of the argument. */
  readonly buffers: readonly { readonly arg: number; readonly address: bigint; readonly bytes: Uint8Array }[];
  /** What counting code counted in memory, by attachment; only where that is not 0. */
  readonly counted: readonly { readonly attachment: string; readonly count: bigint }[];
  readonly trace: readonly bigint[];
  /** What it left in BPF maps; a call that does not return leaves nothing. */
  readonly mapWrites: readonly RunWrite[];
  /** The list function met an ops without a callback and shut ftrace down (FTRACE_WARN_ON, ftrace_kill). */
  readonly ftraceDiedAt?: number;
}
