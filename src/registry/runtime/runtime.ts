/**
 * Who is called when the kernel's text runs, as plain data: what a thread that executes needs of the owners' state. It follows from one
 * state and never changes; the next state has another one.
 */
import type { KprobeRules } from '../../insn/index.ts';
import type { RunMap } from '../../jit/index.ts';
import type { BpfTrampoline, Kprobe, ProbeProgram, TrampLinkKind } from '../model/state.ts';

export interface Runtime {
  /** How probed instructions are played (KPROBE_INSNS). */
  readonly insnRules: KprobeRules;
  /** ftrace shut itself down (ftrace_disabled); probes at function entries went with it (kprobe_ftrace_disabled). */
  readonly isFtraceDead: boolean;
  /** ftrace_ops_list, newest first. */
  readonly ops: readonly RuntimeOps[];
  readonly kprobes: readonly RuntimeKprobe[];
  readonly programs: readonly RuntimeProgram[];
  /** freplace programs, which nothing announces but a jump to them. */
  readonly extensions: readonly RuntimeExtension[];
  /** Tracepoints whose probes can be called. */
  readonly tracepoints: readonly RuntimeTracepoint[];
  /** Generated code that counts its calls and that nothing but a call of it announces. */
  readonly counted: readonly CountedCode[];
  /** Maps that installed programs can get at, with what they hold. */
  readonly maps: readonly RunMap[];
  /** Programs that tail calls lead to: address of struct bpf_prog, and the place of their code. */
  readonly tailCallees: readonly { readonly prog: bigint; readonly entry: number }[];
  /** Ftrace sites that call nobody while kernel.ftrace_enabled is 0, with those who would run there. */
  readonly silenced: readonly { readonly at: number; readonly attachments: readonly string[] }[];
  /** kgdb's breakpoints, with the bytes that they hide. */
  readonly breakpoints: readonly { readonly at: number; readonly attachment: string; readonly saved: number }[];
}

/** struct ftrace_ops as its callers see it. Places count from `_text`. */
export interface RuntimeOps {
  /** Its address, the third argument of the callback. */
  readonly pointer: bigint;
  readonly isStub: boolean;
  /** Guards itself through ftrace_ops_assist_func (FTRACE_OPS_FL_RECURSION). */
  readonly isAssisted: boolean;
  /** Undefined: NULL, a bug of 6.1 that the list function stumbles over. */
  readonly func: number | undefined;
  /** Sites it filters on, ascending. */
  readonly sites: Uint32Array;
  readonly user: OpsUser;
}

export type OpsUser =
  /** A counting handler, the function tracer, an fprobe. */
  | {
      readonly kind: 'callback';
      readonly attachment: string;
      /** `fprobe` sees entry and return, the others one of them. */
      readonly callback: 'handler' | 'function-tracer' | 'fprobe' | 'fprobe-entry' | 'fprobe-exit';
    }
  | { readonly kind: 'kprobes' }
  | {
      readonly kind: 'graph';
      readonly tracers: readonly { readonly attachment: string; readonly sites: Uint32Array }[];
    }
  | {
      readonly kind: 'livepatch';
      /** The old function. */
      readonly func: number;
      /** Who sends a new task where; undefined: the function itself runs. */
      readonly target: { readonly attachment: string; readonly at: number } | undefined;
    }
  /** call_direct_funcs; what is called directly, by site. */
  | { readonly kind: 'direct'; readonly calls: readonly (readonly [site: number, callee: number])[] }
  | { readonly kind: 'none' };

/** What the kprobe table has at an address. */
export interface RuntimeKprobe {
  readonly addr: number;
  /** Start of the function it is in; its own address where the kernel knows none. */
  readonly func: number;
  readonly isFtrace: boolean;
  readonly isDisabled: boolean;
  /** The instruction as it was before the probe, at least its length; fewer than 15 bytes at the end of text. */
  readonly insn: Uint8Array;
  readonly slot: number | undefined;
  /** Prepared for a jump; undefined where there can be none. */
  readonly optimized: RuntimeOptprobe | undefined;
  /** In the order in which they run. */
  readonly children: readonly {
    readonly attachment: string;
    readonly kind: Kprobe['kind'];
    readonly isDisabled: boolean;
    readonly hasPostHandler: boolean;
    readonly maxActive: number;
    readonly program: ProbeProgram | undefined;
  }[];
}

/** struct optimized_kprobe, as the int3 handler and optimized_callback see it. */
export interface RuntimeOptprobe {
  /** Its address, the first argument of optimized_callback. */
  readonly op: bigint;
  /** KPROBE_FLAG_OPTIMIZED: a jump stands there or is about to. */
  readonly isOptimized: boolean;
  /** The displaced instructions in the detour, where an int3 goes on (optinsn.insn + TMPL_END_IDX). */
  readonly displaced: number;
}

/** struct bpf_prog behind a trampoline. */
export interface RuntimeProgram {
  readonly attachment: string;
  readonly kind: TrampLinkKind;
  readonly prog: bigint;
  readonly entry: number;
  readonly counter: bigint | undefined;
  /** The traced function. */
  readonly func: number;
  readonly isRecursionChecked: boolean;
  /** Sizes in bytes of its parameters. */
  readonly argSizes: readonly number[];
  /** The trampoline calls the function itself, so that a return slot is above the arguments. */
  readonly callsOriginal: boolean;
  /** Only `linux` calls enter and exit; with another, the program's own code is all there is. */
  readonly layout: BpfTrampoline['layout'];
}

/** A tracepoint with what its array of functions holds. */
export interface RuntimeTracepoint {
  /** Of its struct tracepoint. */
  readonly at: number;
  readonly probes: readonly { readonly func: number; readonly data: bigint }[];
  /** Programs behind the probes, by the probe's data: a link of its own, or the event that several share. */
  readonly programs: readonly {
    readonly attachment: string;
    readonly data: bigint;
    readonly prog: bigint;
    readonly entry: number;
    readonly kind: 'raw' | 'event';
    readonly args: number;
    readonly cookie: bigint;
  }[];
}

/** A freplace program in the place of a function. */
export interface RuntimeExtension {
  readonly attachment: string;
  readonly entry: number;
  /** The function of a BPF program that it runs instead of. */
  readonly func: number;
  /** Parameters of that function, a register each. */
  readonly args: number;
}

export interface CountedCode {
  readonly attachment: string;
  readonly entry: number;
  readonly counter: bigint;
  /** `ftrace_handler`, `ftrace_direct`, `tracepoint_probe`, `static_call_function`, `bpf_prog`. */
  readonly what: string;
}

/** Code whose first instruction is all that tells that it runs. */
export type EnteredCode = Omit<CountedCode, 'counter'>;
