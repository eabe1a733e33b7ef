import { err, invariant, ok, type ReadableText, type Result } from '../../base/index.ts';
import { callRel32, decodeInsn, fitsS32, jmpRel32, MAX_INSN_SIZE, NOP2, nop } from '../../insn/index.ts';
import type { GeneratedCodeCpu } from '../x86/generated-code.ts';

/** Labels inside ftrace_caller or ftrace_regs_caller (arch/x86/kernel/ftrace_64.S), counted from `_text`. */
export interface FtraceCallerSymbols {
  readonly start: number;
  readonly end: number;
  /** `mov function_trace_op(%rip),%rdx`. */
  readonly opPtr: number;
  /** The call of the callback. */
  readonly call: number;
  /** The jnz to the direct-call tail; ftrace_regs_caller only. */
  readonly jmp?: number;
}

export interface FtraceTrampolineRequest {
  readonly layout: 'linux-6.12' | 'linux-6.1';
  /** Live text, to copy the caller from. */
  readonly text: ReadableText;
  readonly symbols: FtraceCallerSymbols;
  /** Where the image will live, counted from `_text`. */
  readonly at: number;
  /** Address of the `struct ftrace_ops`. */
  readonly ops: bigint;
  /** The callback: what ftrace_ops_get_func answers, counted from `_text`. */
  readonly target: number;
  readonly cpu: GeneratedCodeCpu;
}

/** `ret` or `jmp thunk`: RET_SIZE of a kernel with CONFIG_(MITIGATION_)RETPOLINE. */
export const FTRACE_RET_SIZE = 5;
const POINTER_SIZE = 8;
const OP_REF = [0x48, 0x8b, 0x15] as const;
const OP_REF_SIZE = 7;
const DECIDER = 'create_trampoline, arch/x86/kernel/ftrace.c';
/** A gap of more than this many NOP bytes becomes a jump over int3 (add_nop); ASM_NOP_MAX. */
const NOP_MAX = 11;

const refuse = (detail: string): Result<never> =>
  err({ errno: 'EINVAL', rule: 'ftrace.trampoline.caller', detail, linux: DECIDER });

/** The labels of ftrace_regs_caller (ops that save registers) or ftrace_caller; undefined when the kernel lacks one. */
export function ftraceCallerSymbols(
  offsetOf: (name: string) => number | undefined,
  saveRegs: boolean,
): FtraceCallerSymbols | undefined {
  const caller = saveRegs ? 'ftrace_regs_caller' : 'ftrace_caller';
  const start = offsetOf(caller);
  const end = offsetOf(`${caller}_end`);
  const opPtr = offsetOf(`${caller}_op_ptr`);
  const call = offsetOf(saveRegs ? 'ftrace_regs_call' : 'ftrace_call');
  if (start === undefined || end === undefined || opPtr === undefined || call === undefined) return undefined;
  if (!saveRegs) return { start, end, opPtr, call };
  const jmp = offsetOf('ftrace_regs_caller_jmp');
  return jmp === undefined ? undefined : { start, end, opPtr, call, jmp };
}

/**
 * The private caller of one ftrace_ops (create_trampoline, arch/x86/kernel/ftrace.c, 6.1 and 6.12): the text of the shared caller with its
 * relative operands moved along (6.12), a return behind it, the address of the ops, the load of function_trace_op pointed at that address
 * and the call at the callback. The jump to the direct-call tail is a NOP: such an image is never entered with a direct call.
 * Bytes that Linux leaves as they were in memory (three behind a plain `ret`) are 0xcc here.
 *
 * Fault EINVAL: the text between the labels is not what create_trampoline expects, or something does not reach.
 */
export function generateFtraceTrampoline(request: FtraceTrampolineRequest): Result<Uint8Array> {
  const { symbols, text, at } = request;
  const size = symbols.end - symbols.start;
  if (size <= 0 || !text.contains(symbols.start, size))
    return refuse('the caller between its labels is not in the text');
  const image = new Uint8Array(size + FTRACE_RET_SIZE + POINTER_SIZE).fill(0xcc);
  const caller = text.bytes(symbols.start, size);
  const jump = symbols.jmp === undefined ? undefined : symbols.jmp - symbols.start;
  if (jump !== undefined && caller[jump] !== 0x75) return refuse('ftrace_regs_caller_jmp is not a short jnz');
  if (request.layout === 'linux-6.12') {
    const prepared = preparedCaller(caller, jump);
    if (typeof prepared === 'string') return refuse(prepared);
    image.set(prepared.code);
    const unreached = moveOperands(image, prepared.operands, symbols.start - at);
    if (unreached !== undefined) return refuse(unreached);
  } else {
    image.set(caller);
    if (jump !== undefined) image.set(NOP2, jump);
  }
  try {
    image.set(returnAt(at + size, request.cpu), size);
    image.set(callRel32(at + symbols.call - symbols.start, request.target), symbols.call - symbols.start);
  } catch (error) {
    if (error instanceof RangeError) return refuse(error.message);
    throw error;
  }

  const view = new DataView(image.buffer);
  const pointer = size + FTRACE_RET_SIZE;
  view.setBigUint64(pointer, BigInt.asUintN(64, request.ops), true);
  const opPtr = symbols.opPtr - symbols.start;
  if (OP_REF.some((byte, i) => image[opPtr + i] !== byte)) return refuse('the caller does not load function_trace_op');
  view.setInt32(opPtr + OP_REF.length, pointer - (opPtr + OP_REF_SIZE), true);
  return ok(image);
}

function returnAt(at: number, cpu: GeneratedCodeCpu): Uint8Array {
  // 0x20: the thunk against ITS serves only the lower half of a cache line (cpu_wants_rethunk_at).
  const wantsThunk = cpu.returnThunk !== undefined && (cpu.returnThunkIsIts !== true || (at & 0x20) === 0);
  return wantsThunk ? jmpRel32(at, cpu.returnThunk) : Uint8Array.of(0xc3, 0xcc);
}

/** An operand that counts from where it stands and points out of the copied code. */
interface OutwardOperand {
  /** Byte of the caller at which its instruction begins. */
  readonly insnAt: number;
  readonly at: number;
  readonly size: number;
  readonly value: number;
}

/** All of a caller's copy that does not depend on where it will stand. */
interface PreparedCaller {
  /** With its NOPs merged and the jump to the direct-call tail taken out. */
  readonly code: Uint8Array;
  readonly operands: readonly OutwardOperand[];
}

/** By the caller's bytes: an attach at a site that nobody uses, and its detach, make a trampoline each, of the same few callers. */
const PREPARED = new Map<string, PreparedCaller>();
/** Callers differ in where they call at the moment, and few are in use. */
const PREPARED_MAX = 16;

/** The caller ready to be moved, or why it cannot be. */
function preparedCaller(caller: Uint8Array, jump: number | undefined): PreparedCaller | string {
  const key = `${jump} ${Buffer.from(caller.buffer, caller.byteOffset, caller.length).toString('latin1')}`;
  const known = PREPARED.get(key);
  if (known !== undefined) return known;
  const code = Uint8Array.from(caller);
  if (jump !== undefined) code.set(NOP2, jump);
  const operands = outwardOperands(code);
  if (typeof operands === 'string') return operands;
  const reason = mergeNops(code);
  if (reason !== undefined) return reason;
  const prepared = { code, operands };
  if (PREPARED.size >= PREPARED_MAX) PREPARED.clear();
  PREPARED.set(key, prepared);
  return prepared;
}

/** Branch displacements and %rip-relative ones that point out of the code, or why it cannot be told. */
function outwardOperands(code: Uint8Array): readonly OutwardOperand[] | string {
  const operands: OutwardOperand[] = [];
  for (let at = 0; at < code.length; ) {
    const insn = decodeInsn(code.subarray(at, at + MAX_INSN_SIZE), at);
    if (insn === undefined) return `the caller does not decode at its byte ${at}`;
    const { offset, size, value } = insn.target === undefined ? insn.displacement : insn.immediate;
    const target = insn.target ?? insn.ripRelative?.target;
    if (target !== undefined && (target < 0 || target > code.length))
      operands.push({ insnAt: at, at: at + offset, size, value });
    at += insn.length;
  }
  return operands;
}

/**
 * Moves them by `distance` (__apply_relocation, alternative.c, 6.12). Why not, or undefined when done. Its rewriting of a near into a short jump is
 * left out: the callers contain no near jump.
 */
function moveOperands(code: Uint8Array, operands: readonly OutwardOperand[], distance: number): string | undefined {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  for (const { insnAt, at, size, value } of operands) {
    const displacement = value + distance;
    if (size !== 4 || !fitsS32(displacement)) return `an operand at byte ${insnAt} of the caller does not reach`;
    view.setInt32(at, displacement, true);
  }
  return undefined;
}

/** True for what optimize_nops takes for a NOP: 90 without a rep prefix, and 0f 1f. */
function isNopInsn(code: Uint8Array, at: number): number {
  const insn = decodeInsn(code.subarray(at, at + MAX_INSN_SIZE), at);
  if (insn === undefined) return 0;
  const isShort = insn.opcode === 0x90 && insn.opcodeBytes === 1 && code[at] !== 0xf3;
  const isLong = insn.opcode === 0x0f && insn.opcode2 === 0x1f;
  return isShort || isLong ? insn.length : 0;
}

/** Joins neighbouring NOPs into the longest canonical ones (optimize_nops, alternative.c, 6.12). */
function mergeNops(code: Uint8Array): string | undefined {
  for (let at = 0; at < code.length; ) {
    const first = isNopInsn(code, at);
    if (first === 0) {
      const insn = decodeInsn(code.subarray(at, at + MAX_INSN_SIZE), at);
      if (insn === undefined) return `the caller does not decode at its byte ${at}`;
      at += insn.length;
      continue;
    }
    let end = at + first;
    if (end === code.length) return undefined;
    for (let more = isNopInsn(code, end); end < code.length && more > 0; more = isNopInsn(code, end)) end += more;
    code.set(gap(end - at), at);
    at = end;
  }
  return undefined;
}

/** add_nop: one NOP, or a short jump over int3 when no NOP is long enough. */
function gap(length: number): Uint8Array {
  if (length <= NOP_MAX) return nop(length);
  invariant(length < 128, 'the callers hold no such run of NOPs');
  const bytes = new Uint8Array(length).fill(0xcc);
  bytes.set([0xeb, length - 2]);
  return bytes;
}
