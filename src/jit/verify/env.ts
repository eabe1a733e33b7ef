import type { Errno } from '../../base/index.ts';
import { BTF_KIND, type BtfTypes, typeNamed } from '../../image/index.ts';
import { type BpfCode, calledFunction, type Insn, ISA } from '../bpf/index.ts';
import { VerifierLog } from './log.ts';
import { copyReg, NOT_INIT, type Reg, type RegDraft, UNKNOWN } from './reg.ts';
import type { VerifyRequest } from './request.ts';
import { FP, type Frame, type History, MAX_STACK, type RegPlace, SLOT_SIZE, type State } from './state.ts';

/** Why the verifier stopped; caught where it was started. */
export class Rejected extends Error {
  readonly errno: Errno;
  constructor(errno: Errno, message: string) {
    super(message);
    this.errno = errno;
  }
}

/** A path that is still to be followed. */
export interface Pending {
  readonly state: State;
  readonly insn: number;
  readonly previous: number;
  readonly logPosition: number;
}

/** What is remembered of each function. */
export interface SubprogInfo {
  stackDepth: number;
  hasTailCall: boolean;
  isCallback: boolean;
}

/** BPF_COMPLEXITY_LIMIT_INSNS, BPF_COMPLEXITY_LIMIT_JMP_SEQ (kernel/bpf/verifier.c, 6.12). */
export const LIMIT_INSNS = 1_000_000;
const LIMIT_JUMPS = 8192;

/** Everything that one verification works on (struct bpf_verifier_env). */
export class Env {
  readonly request: VerifyRequest;
  readonly code: BpfCode;
  readonly log: VerifierLog;
  readonly limit: number;
  /** By slot: places where states are compared, and those that history has to name. */
  readonly prunePoints: Uint8Array;
  readonly jumpPoints: Uint8Array;
  readonly callsCallback: Uint8Array;
  readonly seen: Uint8Array;
  /** Types of the pointers that each load goes through; undefined until it is reached. */
  readonly loadedFrom: (string | undefined)[];
  /** For each slot, the registers whose values somebody behind it may read. */
  liveBefore: Uint16Array = new Uint16Array(0);
  readonly subprogs: SubprogInfo[];
  readonly #explored = new Map<number, State[]>();
  readonly pending: Pending[] = [];
  state: State;
  insn = 0;
  previous = -1;
  ids = 0;
  processed = 0;
  jumps = 0;
  processedAtCheckpoint = 0;
  jumpsAtCheckpoint = 0;
  totalStates = 0;
  peakStates = 0;
  maxStatesPerInsn = 0;
  longestReadWalk = 0;
  callsGetFuncIp = false;
  /** Global functions that some path calls. */
  readonly calledGlobals = new Set<number>();
  /** End of what is read of the context (max_ctx_offset). */
  maxCtxOffset = 0;
  #touchedRegs = 0;
  readonly #touchedSlots = new Uint8Array(MAX_STACK / SLOT_SIZE);
  #hasTouched = false;

  constructor(request: VerifyRequest, state: State) {
    this.request = request;
    this.code = request.code;
    this.log = new VerifierLog(request.logLevel);
    this.limit = request.maxInstructions ?? LIMIT_INSNS;
    const { length } = request.code;
    this.prunePoints = new Uint8Array(length + 1);
    this.jumpPoints = new Uint8Array(length + 1);
    this.callsCallback = new Uint8Array(length + 1);
    this.seen = new Uint8Array(length);
    this.loadedFrom = new Array<string | undefined>(length).fill(undefined);
    this.subprogs = request.functions.map(() => ({ stackDepth: 0, hasTailCall: false, isCallback: false }));
    this.state = state;
  }

  /** States that were kept at a place, of functions called from the same one (explored_state). */
  exploredAt(insn: number): State[] {
    const key = insn * (this.code.length + 1) + this.frame.callsite + 1;
    const known = this.#explored.get(key);
    if (known !== undefined) return known;
    const states: State[] = [];
    this.#explored.set(key, states);
    return states;
  }

  /** The struct of that name in the kernel's BTF. */
  structNamed(name: string): number | undefined {
    return this.btf && typeNamed(this.btf, BTF_KIND.STRUCT, name);
  }

  /** Whether a function is taken by its types where it is called (subprog_is_global). */
  isGlobal(subprog: number): boolean {
    return subprog > 0 && this.request.functionTypes?.[subprog]?.isGlobal === true;
  }

  /** Whether the instruction calls such a function. */
  callsGlobal(slot: number): boolean {
    const target = calledFunction(this.code, slot);
    return target !== undefined && this.isGlobal(this.request.functions.findIndex(({ start }) => start === target));
  }

  /** Begins anew with another function; what was found out of the instructions stays. */
  restart(state: State, insn: number): void {
    this.#explored.clear();
    this.state = state;
    this.insn = insn;
    this.previous = -1;
    this.touchEverything();
  }

  get frame(): Frame {
    return this.state.current;
  }

  get btf(): BtfTypes | undefined {
    return this.request.btf;
  }

  btfName(id: number): string {
    return this.btf?.name(id) ?? '';
  }

  insnAt(slot: number): Insn {
    return ISA[this.code.insn[slot] as number] as Insn;
  }

  newId(): number {
    this.ids += 1;
    return this.ids;
  }

  reject(errno: Errno, message: string): never {
    this.log.say(`${message}\n`);
    throw new Rejected(errno, message);
  }

  /** Stops without a last line: the log has said why. */
  rejectQuietly(errno: Errno, message: string): never {
    throw new Rejected(errno, message);
  }

  reg(index: number): Reg {
    return this.frame.reg(index);
  }

  draft(index: number): RegDraft {
    return copyReg(this.reg(index));
  }

  setReg(index: number, reg: Reg): void {
    this.frame.regs[index] = reg;
  }

  /** check_reg_arg(SRC_OP): what is read has to be there. */
  readReg(index: number): Reg {
    this.touchReg(index);
    const reg = this.reg(index);
    if (reg.type === '?') return this.reject('EACCES', `R${index} !read_ok`);
    return reg;
  }

  /** check_reg_arg(DST_OP_NO_MARK). */
  writeReg(index: number): void {
    this.touchReg(index);
    if (index === FP) this.reject('EACCES', 'frame pointer is read only');
    this.frame.written |= 1 << index;
  }

  /** check_reg_arg(DST_OP). */
  writeUnknown(index: number): void {
    this.writeReg(index);
    this.setReg(index, UNKNOWN);
  }

  /** R0 to R5 of the calling function, which a call loses. */
  clearCallerSaved(frame: Frame): void {
    for (let index = 0; index <= 5; index++) {
      frame.regs[index] = NOT_INIT;
      frame.written |= 1 << index;
      this.touchReg(index);
    }
  }

  touchReg(index: number): void {
    this.#touchedRegs |= 1 << index;
    this.#hasTouched = true;
  }

  touchSlot(index: number): void {
    this.#touchedSlots[index] = 1;
    this.#hasTouched = true;
  }

  touchEverything(): void {
    this.#touchedRegs = 0x7ff;
    this.#touchedSlots.fill(1);
    this.#hasTouched = true;
  }

  get hasTouched(): boolean {
    return this.#hasTouched;
  }

  isRegTouched(index: number): boolean {
    return (this.#touchedRegs & (1 << index)) !== 0;
  }

  isSlotTouched(index: number): boolean {
    return this.#touchedSlots[index] === 1;
  }

  clearTouched(): void {
    this.#touchedRegs = 0;
    this.#touchedSlots.fill(0);
    this.#hasTouched = false;
  }

  /** Keeps a copy of the present state for a path that begins at `insn`. */
  push(insn: number, previous: number): State {
    const state = this.state.copy();
    this.pending.push({ state, insn, previous, logPosition: this.log.position });
    if (this.pending.length > LIMIT_JUMPS)
      this.reject('E2BIG', `The sequence of ${this.pending.length} jumps is too complex.`);
    if (state.parent !== undefined) state.parent.branches += 1;
    return state;
  }

  /** The present instruction into the history of its path. */
  record(insn: number): void {
    const { state } = this;
    state.history = { insn, before: state.history, access: undefined, linked: undefined, pointers: 0 };
    if (this.jumpPoints[insn] === 1) state.historyWeight += 1;
  }

  /** Says more of the present instruction. */
  annotate(note: Partial<Pick<History, 'access' | 'linked' | 'pointers'>>): void {
    const { state } = this;
    if (state.history === undefined) return;
    state.history = { ...state.history, ...note };
    if (this.jumpPoints[state.history.insn] === 0) state.historyWeight += 1;
  }

  noteAccess(frame: number, index: number): void {
    const access: RegPlace = { frame, isSlot: true, index };
    this.annotate({ access });
  }
}
