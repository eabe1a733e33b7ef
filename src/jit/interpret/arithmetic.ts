import type { AluOp, AtomicOp, JumpOp, SignedOp, Size, Width } from '../bpf/index.ts';

/** Arithmetic of RFC 9669 section 4 on unsigned 64-bit numbers; a 32-bit result is zero-extended. */
export type Binary = (left: bigint, right: bigint) => bigint;

const signed = (width: Width, value: bigint): bigint => BigInt.asIntN(width, value);
/** Shift counts are taken modulo the width. */
const count = (width: Width, value: bigint): bigint => value & BigInt(width - 1);

function plain(op: AluOp | SignedOp, width: Width): Binary {
  switch (op) {
    case 'add':
      return (a, b) => a + b;
    case 'sub':
      return (a, b) => a - b;
    case 'mul':
      return (a, b) => a * b;
    case 'or':
      return (a, b) => a | b;
    case 'and':
      return (a, b) => a & b;
    case 'xor':
      return (a, b) => a ^ b;
    case 'lsh':
      return (a, b) => a << count(width, b);
    case 'rsh':
      return (a, b) => a >> count(width, b);
    case 'arsh':
      return (a, b) => signed(width, a) >> count(width, b);
    case 'div':
      return (a, b) => (b === 0n ? 0n : a / b);
    case 'mod':
      return (a, b) => (b === 0n ? a : a % b);
    case 'sdiv':
      return (a, b) => (b === 0n ? 0n : signed(width, a) / signed(width, b));
    case 'smod':
      return (a, b) => (b === 0n ? a : signed(width, a) % signed(width, b));
  }
}

/** `op` at that width; operands are cut to it first. */
export function aluOperation(op: AluOp | SignedOp, width: Width): Binary {
  const operation = plain(op, width);
  return width === 64
    ? (a, b) => BigInt.asUintN(64, operation(a, b))
    : (a, b) => BigInt.asUintN(32, operation(BigInt.asUintN(32, a), BigInt.asUintN(32, b)));
}

/** What an atomic operation stores; `xchg` and `cmpxchg` store the source. */
export function atomicOperation(op: AtomicOp, width: Width): Binary {
  return op === 'xchg' || op === 'cmpxchg' ? (_, b) => BigInt.asUintN(width, b) : aluOperation(op, width);
}

export function comparison(op: JumpOp, width: Width): (left: bigint, right: bigint) => boolean {
  const s = (value: bigint): bigint => BigInt.asIntN(width, value);
  const u = (value: bigint): bigint => BigInt.asUintN(width, value);
  switch (op) {
    case 'jeq':
      return (a, b) => u(a) === u(b);
    case 'jne':
      return (a, b) => u(a) !== u(b);
    case 'jgt':
      return (a, b) => u(a) > u(b);
    case 'jge':
      return (a, b) => u(a) >= u(b);
    case 'jlt':
      return (a, b) => u(a) < u(b);
    case 'jle':
      return (a, b) => u(a) <= u(b);
    case 'jset':
      return (a, b) => u(a & b) !== 0n;
    case 'jsgt':
      return (a, b) => s(a) > s(b);
    case 'jsge':
      return (a, b) => s(a) >= s(b);
    case 'jslt':
      return (a, b) => s(a) < s(b);
    case 'jsle':
      return (a, b) => s(a) <= s(b);
  }
}

/** The low `size` bits, sign-extended to the width. */
export const signExtend = (size: Size, width: Width, value: bigint): bigint =>
  BigInt.asUintN(width, BigInt.asIntN(size, value));

/** The low `size` bits with their bytes reversed. */
export function swapBytes(size: Size, value: bigint): bigint {
  let result = 0n;
  for (let byte = 0n; byte < BigInt(size); byte += 8n)
    result |= ((value >> byte) & 0xffn) << (BigInt(size) - 8n - byte);
  return result;
}
