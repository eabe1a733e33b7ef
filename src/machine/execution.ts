import { invariant } from '../base/index.ts';
import type { MappedMap } from '../jit/index.ts';
import type { FiredRecord, MissReason, MissRecord, TracedLine } from './call-types.ts';
import type { Guest } from './guest.ts';
import { PT_REGS, PT_REGS_ARGUMENTS } from './layout.ts';
import type { RuntimeIndex } from './runtime-index.ts';

/** A function that a handler wants run before it goes on; its %rax comes back. */
export interface GuestCall {
  readonly callee: bigint;
  readonly args: readonly bigint[];
}

/** What a played function answers: its %rax, or undefined, which leaves %rax as it is. */
export type Played = bigint | undefined;

/** The function is not to be had yet: the CPU calls it again, as if it span. */
export const AGAIN = Symbol('again');

/** The part of a C function that the machine plays and that calls other functions on its way. */
export type Handler = Generator<GuestCall, Played, bigint>;

export type OnReturn = (value: bigint, regs: bigint) => Iterator<GuestCall, void, bigint> | undefined;

/** A return hook of the running task (struct rethook_node, struct ftrace_ret_stack): newest first in their lists. */
export interface ReturnHook {
  readonly returnTo: bigint;
  /** Whose pool it is from, where there is one. */
  readonly attachment?: string;
  /** Address of the replaced return address. */
  readonly frame: bigint;
  /** Called when the function returns, with its result and the address of the struct pt_regs; may have functions to call. */
  readonly onReturn: OnReturn;
}

/** A program between enter and exit. */
export interface RunningProgram {
  readonly prog: bigint;
  readonly record: number | undefined;
  readonly since: number;
  /** Of its struct bpf_tramp_run_ctx, which begins with the cookie; undefined for a program of a perf event or a raw tracepoint, whose cookie is `cookie`. */
  readonly runCtx: bigint | undefined;
  readonly cookie?: bigint;
}

/** What BPF helpers have of the kernel. */
export interface BpfWorld {
  readonly maps: readonly MappedMap[];
  /** Where kernel text ends. */
  readonly kernelText: bigint;
  readonly now: () => bigint;
  readonly tai: () => bigint;
  readonly random: () => number;
}

/** struct kprobe_ctlblk, as far as it shows. */
export interface RunningKprobe {
  readonly addr: number;
  /** Where the copy runs while an instruction is stepped over; undefined outside of that. */
  readonly slot: number | undefined;
  readonly savedIf: bigint;
  /** The probe that was being handled when this one was met (save_previous_kprobe). */
  readonly previous: RunningKprobe | undefined;
}

type Open = { -readonly [K in keyof FiredRecord]: FiredRecord[K] };

/** Lines that programs may trace in one call. */
const TRACED_MAX = 1_000;

/** One task on one CPU while it runs one call: what fired, what was missed, and the stacks that Linux keeps in the task. */
export class Execution {
  readonly guest: Guest;
  /** Owners that it may meet; text that changes under a call brings another one. */
  index: RuntimeIndex;
  readonly misses: MissRecord[] = [];
  readonly log: string[] = [];
  readonly traced: TracedLine[] = [];
  readonly #fired: Open[] = [];
  /** Handlers that wait for a function they called, outermost first. */
  readonly waiting: Handler[] = [];
  /** current->rethooks. */
  rethooks: ReturnHook[] = [];
  /** current->ret_stack of the function-graph tracer. */
  graphStack: ReturnHook[] = [];
  kprobe: RunningKprobe | undefined;
  isInListFunction = false;
  /** The breakpoint that the debugger has taken away for one step: an int3 there is somebody else's. */
  steppedBreakpoint: number | undefined;
  /** bpf_prog->active of this CPU. */
  readonly active = new Map<bigint, number>();
  /** Programs between enter and exit, innermost last. */
  readonly programs: RunningProgram[] = [];
  /** Return hooks in use, by attachment, of all CPUs. */
  readonly instances: Map<string, number>;
  /** Traps into a poke under way. */
  pokeTraps = 0;
  ftraceDiedAt: number | undefined;
  /** Instructions that only the machine needs: hypercalls, and jumps back from displaced ones. */
  extra = 0;

  readonly bpf: BpfWorld;

  constructor(guest: Guest, index: RuntimeIndex, bpf: BpfWorld, instances = new Map<string, number>()) {
    this.instances = instances;
    this.guest = guest;
    this.bpf = bpf;
    this.index = index;
  }

  /** Instructions executed that Linux would have executed, too. */
  get executed(): number {
    return this.guest.executed - this.extra;
  }

  get fired(): readonly FiredRecord[] {
    return this.#fired;
  }

  /** Notes that an owner ran; answers its place in the list, for what is known only later. */
  fire(attachment: string, at: number, args: readonly bigint[], instructions = 0): number {
    return this.#fired.push({ attachment, at, args, instructions }) - 1;
  }

  completeFired(record: number, more: { readonly returnValue?: bigint; readonly instructions?: number }): void {
    const open = this.#fired[record];
    invariant(open !== undefined, 'a record that was made');
    if (more.returnValue !== undefined) open.returnValue = more.returnValue;
    if (more.instructions !== undefined) open.instructions = more.instructions;
  }

  /** bpf_trace_printk of the program that runs. */
  trace(line: string, text: string): void {
    if (this.traced.length >= TRACED_MAX) return;
    const record = this.programs.at(-1)?.record;
    const attachment = record === undefined ? undefined : this.#fired[record]?.attachment;
    this.traced.push({ text, attachment, cpu: this.guest.cpu.number, timeNs: this.bpf.now() });
    this.log.push(line);
  }

  miss(attachment: string, reason: MissReason): void {
    this.misses.push({ attachment, reason });
  }

  /** Argument registers in a pt_regs. */
  argumentsAt(regs: bigint): readonly bigint[] {
    return PT_REGS_ARGUMENTS.map((name) => this.guest.read64(regs + BigInt(PT_REGS[name])));
  }

  /**
   * Replaces the return address at `frame`, and remembers the hook. False when the pool of `limit` nodes is empty.
   * Source: arch_rethook_prepare, arch/x86/kernel/rethook.c (6.1, 6.12).
   */
  hookReturn(attachment: string, limit: number, frame: bigint, onReturn: OnReturn): boolean {
    const used = this.instances.get(attachment) ?? 0;
    const trampoline = this.index.symbol('arch_rethook_trampoline');
    if (used >= limit || trampoline === undefined) return false;
    this.instances.set(attachment, used + 1);
    const returnTo = this.guest.read64(frame);
    const recycle: OnReturn = (value, regs) => {
      this.instances.set(attachment, (this.instances.get(attachment) ?? 1) - 1);
      return onReturn(value, regs);
    };
    this.rethooks = [{ attachment, returnTo, frame, onReturn: recycle }, ...this.rethooks];
    this.guest.write64(frame, trampoline);
    return true;
  }

  /** Gives back the hooks of a call that does not return. */
  abandonHooks(): void {
    for (const { attachment } of this.rethooks)
      if (attachment !== undefined) this.instances.set(attachment, (this.instances.get(attachment) ?? 1) - 1);
    this.rethooks = [];
  }

  /** Probes in the body of a function that is not run. */
  missBody(func: number, reason: MissReason): void {
    for (const probe of this.index.kprobesIn(func)) {
      if (probe.isFtrace || probe.isDisabled) continue;
      for (const child of probe.children) if (!child.isDisabled) this.miss(child.attachment, reason);
    }
  }
}
