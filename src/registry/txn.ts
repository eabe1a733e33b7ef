import type { Fault, Holder, ReadableText } from '../base/index.ts';
import { bytesEqual, invariant, type Steps, straight, toHex, visitAll } from '../base/index.ts';
import { ENDBR_INSN_SIZE } from '../insn/index.ts';
import { DraftTables } from './draft-tables.ts';
import { noteOverwritten } from './kgdb/overwritten.ts';
import type {
  Attachment,
  BpfTrampoline,
  DynFtrace,
  FtraceOps,
  FtraceState,
  KernelState,
  Kprobe,
  KprobeEntry,
} from './model/state.ts';
import { OverlayText } from './overlay-text.ts';
import type { GracePeriod, TextChange, TextOp } from './text-op.ts';
import { describePlace, type World, worldOf } from './world.ts';

/** A record no ops was ever attached to. */
const FRESH_RECORD: DynFtrace = { flags: 0, count: 0 };

/** Thrown inside a decision and caught at its door: some byte is not what its owner's state says. */
export class UnexpectedBytes extends Error {
  readonly at: number;
  readonly expected: Uint8Array;
  readonly actual: Uint8Array;

  constructor(at: number, expected: Uint8Array, actual: Uint8Array) {
    super(`unexpected bytes at _text+0x${at.toString(16)}`);
    this.at = at;
    this.expected = expected;
    this.actual = actual;
  }
}

/** FTRACE_OPS_CMD_* of include/linux/ftrace.h (6.12). */
export type OpsFuncCommand =
  | 'ENABLE_SHARE_IPMODIFY_SELF'
  | 'ENABLE_SHARE_IPMODIFY_PEER'
  | 'DISABLE_SHARE_IPMODIFY_PEER';

/** What a direct owner answers when it meets IPMODIFY (ftrace_ops.ops_func). */
export type OpsFunc = (txn: Txn, ops: FtraceOps, command: OpsFuncCommand) => Fault | undefined;

/**
 * One decision in the making: a draft of the next state, the ops that lead there, and text as it would be. Working on a Txn changes
 * nothing outside it; who holds the state before may go on using it.
 */
export class Txn extends DraftTables {
  /** The kernel with the modules that the draft has. */
  world: World;
  /** ops_func of BPF trampolines (bpf_tramp_ftrace_ops_func); a pointer in Linux too, since ftrace does not know BPF. */
  readonly bpfOpsFunc: OpsFunc;
  readonly text: OverlayText;
  readonly ops: TextOp[] = [];
  readonly warnings: string[] = [];
  readonly graces: GracePeriod[] = [];
  /** Attachments that this decision ends although nobody asked for it (a cumulative livepatch replaces others). */
  readonly replaced: Attachment[] = [];
  /** Sites whose bytes or owners changed. */
  readonly touched = new Set<number>();
  /** True when Linux would go on in the changed state although it answers an errno (ftrace died). */
  commitDespiteFault = false;

  modules: KernelState['modules'];
  ftrace: FtraceState;
  isKprobesOptimization: boolean;
  graphTracers: KernelState['graphTracers'];
  optimizer: KernelState['optimizer'];
  maps: KernelState['maps'];
  readonly nextMap: KernelState['nextMap'];
  livepatching: KernelState['livepatching'];
  nextFrame: number;
  /** removed_ops of ftrace_shutdown: the ops on its way out, asked first for its trampoline. */
  removing: FtraceOps | undefined;
  /** The ops being modified (FTRACE_OPS_FL_MODIFYING) with the filter it had before. */
  modifying: { readonly id: string; readonly oldFilter: FtraceOps['filter'] } | undefined;

  /** `reads`: nothing will be written, so the tables are the state's own. */
  constructor(world: World, state: KernelState, text: ReadableText, bpfOpsFunc: OpsFunc, reads = false) {
    super(state, reads);
    this.world = worldOf(world, state.modules);
    this.modules = state.modules;
    this.bpfOpsFunc = bpfOpsFunc;
    this.text = new OverlayText(text);
    this.ftrace = state.ftrace;
    this.isKprobesOptimization = state.isKprobesOptimization;
    this.graphTracers = state.graphTracers;
    this.optimizer = state.optimizer;
    this.maps = state.maps;
    this.nextMap = state.nextMap;
    this.livepatching = state.livepatching;
    this.nextFrame = state.nextFrame;
  }

  /** Ahead of {@link finish}, which finishes at once what is left: sites that will have another revision. */
  *reviseSteps(): Steps<void> {
    yield* visitAll(this.touched, this.touched.size, 'counting revisions', (site) => this.#revise(site));
    this.touched.clear();
  }

  #revise(site: number): void {
    this.revisions.set(site, (this.revisions.get(site) ?? 0) + 1);
  }

  /** The next state. The draft must not be used afterwards. */
  finish(): KernelState {
    invariant(!this.reads, 'what only reads has no next state');
    for (const site of this.touched) this.#revise(site);
    return this.finished(this);
  }

  /** From here on the draft's text, symbols and tables are those with these modules. */
  setModules(modules: KernelState['modules']): void {
    this.modules = modules;
    this.world = worldOf(this.world, modules);
  }

  record(site: number): DynFtrace {
    return this.records.get(site) ?? FRESH_RECORD;
  }

  setRecord(site: number, record: DynFtrace): void {
    if (record.flags === 0 && record.count === 0) this.records.delete(site);
    else this.records.set(site, record);
  }

  /** The ops of that id; it must exist. */
  op(id: string): FtraceOps {
    const ops = this.opsTable.get(id);
    invariant(ops !== undefined, () => `no ftrace_ops ${id}`);
    return ops;
  }

  setOp(ops: FtraceOps): FtraceOps {
    this.opsTable.set(ops.id, ops);
    return ops;
  }

  kprobe(id: string): Kprobe {
    const probe = this.kprobes.get(id);
    invariant(probe !== undefined, () => `no kprobe ${id}`);
    return probe;
  }

  setEntry(entry: KprobeEntry): KprobeEntry {
    this.kprobeTable.set(entry.addr, entry);
    return entry;
  }

  trampoline(func: number): BpfTrampoline {
    const trampoline = this.trampolines.get(func);
    invariant(trampoline !== undefined, () => `no BPF trampoline for _text+0x${func.toString(16)}`);
    return trampoline;
  }

  attachment(id: string): Attachment {
    const attachment = this.attachments.get(id);
    invariant(attachment !== undefined, () => `no attachment ${id}`);
    return attachment;
  }

  /** Attachments as holders of a refusal, oldest first. */
  holders(ids: Iterable<string | undefined>): readonly Holder[] {
    const known = [...new Set(ids)].flatMap((id) => (id === undefined ? [] : [this.attachments.get(id)]));
    return known
      .filter((a): a is Attachment => a !== undefined)
      .sort((a, b) => a.sequence - b.sequence)
      .map((a) => ({ attachment: a.id, kind: a.kind, client: a.client, since: new Date(a.sinceMs).toISOString() }));
  }

  /** `tcp_set_state+0x4`; generated code, which has no symbol, is called after what it was made for. */
  place(offset: number): string {
    const generated = this.arena.allocations.get(offset);
    if (generated !== undefined) return `[${generated.what}]`;
    const entry = this.arena.allocations.get(offset - ENDBR_INSN_SIZE);
    if (entry !== undefined) return `[${entry.what}]+0x${ENDBR_INSN_SIZE}`;
    return this.world.pristine.contains(offset, 1)
      ? describePlace(this.world, offset)
      : (this.#placeInProgram(offset) ?? describePlace(this.world, offset));
  }

  /** `[bpf_prog_sub]+0x4`, in one of the further functions of a program. */
  #placeInProgram(offset: number): string | undefined {
    for (const { functions } of this.bpfProgs.values())
      for (const { at, size, name } of functions)
        if (offset >= at && offset < at + size)
          return offset === at ? `[bpf_prog_${name}]` : `[bpf_prog_${name}]+0x${(offset - at).toString(16)}`;
    return undefined;
  }

  /** Checks that text has these bytes now; throws {@link UnexpectedBytes} otherwise. */
  verify(at: number, expected: Uint8Array): void {
    const actual = this.text.bytes(at, expected.length);
    if (!bytesEqual(actual, expected)) throw new UnexpectedBytes(at, expected, actual);
  }

  emit(op: TextOp): void {
    invariant(!this.reads, 'what only reads changes no text');
    switch (op.kind) {
      case 'byte':
      case 'poke':
        this.verify(op.at, op.expected);
        // What cannot be executing lies behind an int3, and is part of that site.
        if (!('notExecuting' in op)) this.touched.add(op.at);
        break;
      case 'wait':
        break;
      case 'batch':
        straight(this.emitBatch(op));
        return;
      case 'install':
        this.verify(op.at, new Uint8Array(op.bytes.length).fill(0xcc));
        break;
      case 'remove':
        this.verify(op.at, op.expected);
        this.graces.push(...op.after);
    }
    this.text.apply(op);
    if (this.kgdb.size > 0) noteOverwritten(this, op);
    this.ops.push(op);
  }

  /** {@link emit} of what may be very much: verifies everything before the draft's text has any of it. */
  *emitBatch(op: Extract<TextOp, { readonly kind: 'batch' }>): Steps<void> {
    invariant(!this.reads, 'what only reads changes no text');
    const { changes } = op;
    yield* visitAll(changes, changes.length, 'checking bytes', (change) => {
      this.verify(change.at, change.expected);
      this.touched.add(change.at);
    });
    yield* visitAll(changes, changes.length, 'drafting text', (change) => this.text.write(change.at, change.bytes));
    if (this.kgdb.size > 0) noteOverwritten(this, op);
    this.ops.push(op);
  }

  /** One instruction through text_poke_bp, when it differs from what is there. `emulate`: what int3 handlers play where it differs. */
  poke(change: TextChange, what: string, emulate?: Uint8Array): void {
    if (bytesEqual(change.expected, change.bytes)) return;
    this.emit({ kind: 'poke', ...change, what, ...(emulate === undefined ? {} : { emulate }) });
  }
}

/** For a fault: expected and actual as hex. */
export const byteDetails = (error: UnexpectedBytes): Pick<Fault, 'expected' | 'actual'> => ({
  expected: toHex(error.expected),
  actual: toHex(error.actual),
});
