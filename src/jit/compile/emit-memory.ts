import type { Insn } from '../bpf/index.ts';
import { RAX } from '../x86/registers.ts';
import type { CodeBuffer } from './code-buffer.ts';
import type { Emit } from './emit-alu.ts';
import { loadForm } from './forms.ts';
import {
  AUX,
  AX,
  putAccess,
  putMemory,
  putMov,
  putMov64,
  putMovImm32,
  putMovImm64,
  putRegister,
  putRegisters,
  rex,
  rexBase,
} from './x86.ts';

type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };

function putLoad(b: CodeBuffer, meaning: Of<'load'>, dst: number, src: number, off: number): void {
  const { base, opcode } = loadForm(meaning);
  if (meaning.size >= 32) putAccess(b, base, opcode, src, dst, off);
  else {
    b.put2(rex(base, src, dst), 0x0f);
    putMemory(b, opcode, src, dst, off);
  }
}

/** TASK_SIZE_MAX + PAGE_SIZE with four levels of page tables, and VSYSCALL_ADDR. */
const USER_END = 0x0000_7fff_ffff_f000n + 0x1000n;
const VSYSCALL = 0xffff_ffff_ff60_0000n;
const half = (value: bigint): number => Number(BigInt.asIntN(32, value));
const JA = 0x77;
const JNE = 0x75;

/**
 * A load through a pointer that BTF types and nobody has checked (BPF_PROBE_MEM, 6.12): answers 0 unless the address is one of the kernel's.
 * Answers where the load itself stands in the buffer: it needs an exception table entry.
 */
export function putProbeLoad(b: CodeBuffer, meaning: Of<'load'>, dst: number, src: number, off: number): number {
  const limit = BigInt.asUintN(64, USER_END - VSYSCALL);
  putMovImm64(b, AX, half(VSYSCALL >> 32n), half(VSYSCALL));
  putMov64(b, AUX, src);
  if (off !== 0) {
    putRegister(b, 0x48, 0x81, 0xc0, AUX);
    b.put32(off);
  }
  putRegisters(b, 0x48, 0x29, AUX, AX);
  putMovImm64(b, AX, half(limit >> 32n), half(limit));
  putRegisters(b, 0x48, 0x39, AUX, AX);
  b.put2(JA, 0);
  const afterCheck = b.length;
  putMovImm32(b, false, dst, 0);
  b.put2(0xeb, 0);
  const load = b.length;
  b.bytes[afterCheck - 1] = load - afterCheck;
  putLoad(b, meaning, dst, src, off);
  b.bytes[load - 1] = b.length - load;
  return load;
}

/** Stores of constants, and of one and two bytes. */
export function emitStore({ size, from }: Of<'store'>): Emit {
  const base = rexBase(size === 64);
  if (from === 'imm') {
    const bytes = Math.min(size / 8, 4);
    return (b, dst, _src, off, imm) => {
      if (size === 16) b.put1(0x66);
      putAccess(b, base, size === 8 ? 0xc6 : 0xc7, dst, 0, off);
      b.put(imm, bytes);
    };
  }
  return (b, dst, src, off) => {
    if (size === 16) b.put1(0x66);
    // The low byte of %rsi, %rdi and %rbp can only be named with a REX.
    else if (src > 3 && src < 8 && dst < 8) b.put1(0x40);
    putAccess(b, base, size === 8 ? 0x88 : 0x89, dst, src, off);
  };
}

const LOCKED: Readonly<Record<'add' | 'or' | 'and' | 'xor', number>> = { add: 0x01, or: 0x09, and: 0x21, xor: 0x31 };
const LOCK = 0xf0;
const XCHG = 0x87;

/** `lock` and an opcode of one byte. */
const locked =
  (opcode: number, base: number): Emit =>
  (b, dst, src, off) => {
    b.put1(LOCK);
    putAccess(b, base, opcode, dst, src, off);
  };

const CMPXCHG = 0xb1;
const XADD = 0xc1;

/** `lock`, 0x0f and an opcode. */
const lockedLong =
  (opcode: number, base: number): Emit =>
  (b, dst, src, off) => {
    b.put1(LOCK);
    b.putRexed(rex(base, dst, src) | (0x0f << 8), 2);
    putMemory(b, opcode, dst, src, off);
  };

export function emitAtomic({ op, width, isFetch }: Of<'atomic'>): Emit {
  const base = rexBase(width === 64);
  if (op === 'cmpxchg') return lockedLong(CMPXCHG, base);
  if (op === 'xchg') return locked(XCHG, base);
  if (!isFetch) return locked(LOCKED[op], base);
  return op === 'add' ? lockedLong(XADD, base) : fetchLoop(LOCKED[op], width);
}

/** x86 has no fetching and, or, xor: a loop around cmpxchg, with R0 in AX meanwhile. */
function fetchLoop(opcode: number, width: 32 | 64): Emit {
  const is64 = width === 64;
  const base = rexBase(is64);
  const exchange = lockedLong(CMPXCHG, base);
  return (b, dst, src, off) => {
    putMov64(b, AX, RAX);
    const source = src === RAX ? AX : src;
    const address = dst === RAX ? AX : dst;
    const again = b.length;
    putAccess(b, base, 0x8b, address, RAX, off);
    putMov(b, is64, AUX, RAX);
    putRegisters(b, base, opcode, AUX, source);
    exchange(b, address, AUX, off, 0);
    b.put2(JNE, again - b.length - 2);
    putMov(b, is64, source, RAX);
    putMov64(b, RAX, AX);
  };
}
