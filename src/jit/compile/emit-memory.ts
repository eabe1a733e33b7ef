import type { AtomicOp, Insn, Size } from '../bpf/index.ts';
import { RAX } from '../x86/registers.ts';
import type { CodeBuffer } from './code-buffer.ts';
import type { Emit } from './emit-alu.ts';
import {
  AUX,
  AX,
  modRm,
  putMemory,
  putMov,
  putMov64,
  putMovImm32,
  putMovImm64,
  putRex,
  putRexOne,
  rex,
} from './x86.ts';

type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };

/** The load alone: zero- or sign-extending to 64 bits. */
function putLoad(b: CodeBuffer, size: Size, isSigned: boolean, dst: number, src: number, off: number): void {
  if (isSigned) {
    b.put1(rex(0x48, src, dst));
    if (size === 32) b.put1(0x63);
    else b.put2(0x0f, size === 8 ? 0xbe : 0xbf);
  } else if (size === 8 || size === 16) b.put3(rex(0x48, src, dst), 0x0f, size === 8 ? 0xb6 : 0xb7);
  else {
    putRex(b, src, dst, size === 64);
    b.put1(0x8b);
  }
  putMemory(b, src, dst, off);
}

export function emitLoad({ size, isSigned }: Of<'load'>): Emit {
  return (b, dst, src, off) => putLoad(b, size, isSigned, dst, src, off);
}

/** TASK_SIZE_MAX + PAGE_SIZE with four levels of page tables, and VSYSCALL_ADDR. */
const USER_END = 0x0000_7fff_ffff_f000n + 0x1000n;
const VSYSCALL = 0xffff_ffff_ff60_0000n;
const half = (value: bigint): number => Number(BigInt.asIntN(32, value));
const JA = 0x77;

/**
 * A load through a pointer that BTF types and nobody has checked (BPF_PROBE_MEM, 6.12): answers 0 unless the address is one of the kernel's.
 * Answers where the load itself stands in the buffer: it needs an exception table entry.
 */
export function putProbeLoad(
  b: CodeBuffer,
  { size, isSigned }: Of<'load'>,
  dst: number,
  src: number,
  off: number,
): number {
  const limit = BigInt.asUintN(64, USER_END - VSYSCALL);
  putMovImm64(b, AX, half(VSYSCALL >> 32n), half(VSYSCALL));
  putMov64(b, AUX, src);
  if (off !== 0) {
    putRexOne(b, AUX, true);
    b.put2(0x81, 0xc0 | (AUX & 7));
    b.put32(off);
  }
  putRex(b, AUX, AX, true);
  b.put2(0x29, modRm(AUX, AX));
  putMovImm64(b, AX, half(limit >> 32n), half(limit));
  putRex(b, AUX, AX, true);
  b.put2(0x39, modRm(AUX, AX));
  b.put2(JA, 0);
  const afterCheck = b.length;
  putMovImm32(b, false, dst, 0);
  b.put2(0xeb, 0);
  const load = b.length;
  b.bytes[afterCheck - 1] = load - afterCheck;
  putLoad(b, size, isSigned, dst, src, off);
  b.bytes[load - 1] = b.length - load;
  return load;
}

function putStoreImmediate(b: CodeBuffer, size: Size, imm: number): void {
  if (size === 8) b.put1(imm);
  else if (size === 16) b.put2(imm, imm >> 8);
  else b.put32(imm);
}

export function emitStore({ size, from }: Of<'store'>): Emit {
  if (from === 'imm') {
    return (b, dst, _src, off, imm) => {
      if (size === 16) b.put1(0x66);
      putRexOne(b, dst, size === 64);
      b.put1(size === 8 ? 0xc6 : 0xc7);
      putMemory(b, dst, 0, off);
      putStoreImmediate(b, size, imm);
    };
  }
  return (b, dst, src, off) => {
    if (size === 16) b.put1(0x66);
    // The low byte of %rsi, %rdi and %rbp can only be named with a REX.
    if (size === 8 && src > 3 && src < 8 && dst < 8) b.put1(0x40);
    else putRex(b, dst, src, size === 64);
    b.put1(size === 8 ? 0x88 : 0x89);
    putMemory(b, dst, src, off);
  };
}

const LOCKED: Readonly<Record<'add' | 'or' | 'and' | 'xor', number>> = { add: 0x01, or: 0x09, and: 0x21, xor: 0x31 };

function putLocked(
  b: CodeBuffer,
  opcode: readonly number[],
  is64: boolean,
  dst: number,
  src: number,
  off: number,
): void {
  b.put1(0xf0);
  putRex(b, dst, src, is64);
  for (const byte of opcode) b.put1(byte);
  putMemory(b, dst, src, off);
}

const CMPXCHG = [0x0f, 0xb1];

function lockedOpcode(op: AtomicOp, isFetch: boolean): readonly number[] | undefined {
  if (op === 'cmpxchg') return CMPXCHG;
  if (op === 'xchg') return [0x87];
  if (!isFetch) return [LOCKED[op]];
  return op === 'add' ? [0x0f, 0xc1] : undefined;
}

export function emitAtomic({ op, width, isFetch }: Of<'atomic'>): Emit {
  const is64 = width === 64;
  const opcode = lockedOpcode(op, isFetch);
  if (opcode !== undefined) return (b, dst, src, off) => putLocked(b, opcode, is64, dst, src, off);
  return fetchLoop(LOCKED[op as 'or' | 'and' | 'xor'], is64);
}

/** x86 has no fetching and, or, xor: a loop around cmpxchg, with R0 in AX meanwhile. */
const fetchLoop =
  (opcode: number, is64: boolean): Emit =>
  (b, dst, src, off) => {
    putMov64(b, AX, RAX);
    const source = src === RAX ? AX : src;
    const base = dst === RAX ? AX : dst;
    const again = b.length;
    putLoad(b, is64 ? 64 : 32, false, RAX, base, off);
    putMov(b, is64, AUX, RAX);
    putRex(b, AUX, source, is64);
    b.put2(opcode, modRm(AUX, source));
    putLocked(b, CMPXCHG, is64, base, AUX, off);
    b.put2(0x75, again - b.length - 2);
    putMov(b, is64, source, RAX);
    putMov64(b, RAX, AX);
  };
