import type { AluOp, InsnSpec, SignedOp, Size, Width } from './insn.ts';
import { BPF_ALU, BPF_ALU64, BPF_K, BPF_X } from './opcodes.ts';

const OPS: readonly (readonly [AluOp, number])[] = [
  ['add', 0x00],
  ['sub', 0x10],
  ['mul', 0x20],
  ['div', 0x30],
  ['or', 0x40],
  ['and', 0x50],
  ['lsh', 0x60],
  ['rsh', 0x70],
  ['mod', 0x90],
  ['xor', 0xa0],
  ['arsh', 0xc0],
];
const SIGNED: readonly (readonly [SignedOp, number])[] = [
  ['sdiv', 0x30],
  ['smod', 0x90],
];
const NEG = 0x80;
const MOV = 0xb0;
const END = 0xd0;
/** The value of the offset field that makes a division signed. */
const SIGNED_OFFSET = 1;

const classOf = (width: Width): number => (width === 64 ? BPF_ALU64 : BPF_ALU);
const suffix = (width: Width): string => (width === 64 ? '' : '32');
const base = (width: Width): 'base32' | 'base64' => (width === 64 ? 'base64' : 'base32');
const isDivMul = (op: AluOp | SignedOp): boolean => ['mul', 'div', 'mod', 'sdiv', 'smod'].includes(op);
const divMul = (width: Width): 'divmul32' | 'divmul64' => (width === 64 ? 'divmul64' : 'divmul32');

function binary(op: AluOp | SignedOp, bits: number, width: Width, since: 1 | 4, off: number): readonly InsnSpec[] {
  const common = {
    name: `${op}${suffix(width)}`,
    dst: 'update',
    off,
    since,
    group: isDivMul(op) ? divMul(width) : base(width),
  } as const;
  const code = classOf(width) | bits;
  return [
    { ...common, code: code | BPF_K, src: 'unused', imm: 'value', meaning: { kind: 'alu', op, width, from: 'imm' } },
    { ...common, code: code | BPF_X, src: 'read', imm: 0, meaning: { kind: 'alu', op, width, from: 'reg' } },
  ];
}

function moves(width: Width): readonly InsnSpec[] {
  const common = { dst: 'write', group: base(width) } as const;
  const code = classOf(width) | MOV;
  const sizes: readonly Size[] = width === 64 ? [8, 16, 32] : [8, 16];
  return [
    {
      ...common,
      name: `mov${suffix(width)}`,
      code: code | BPF_K,
      src: 'unused',
      off: 0,
      imm: 'value',
      since: 1,
      meaning: { kind: 'mov', width, from: 'imm' },
    },
    {
      ...common,
      name: `mov${suffix(width)}`,
      code: code | BPF_X,
      src: 'read',
      off: 0,
      imm: 0,
      since: 1,
      meaning: { kind: 'mov', width, from: 'reg' },
    },
    ...sizes.map(
      (size): InsnSpec => ({
        ...common,
        name: `movsx${size}${width}`,
        code: code | BPF_X,
        src: 'read',
        off: size,
        imm: 0,
        since: 4,
        meaning: { kind: 'movsx', width, size },
      }),
    ),
  ];
}

const unary = { dst: 'update', src: 'unused', off: 0 } as const;

const negate = (width: Width): InsnSpec => ({
  ...unary,
  name: `neg${suffix(width)}`,
  code: classOf(width) | NEG,
  imm: 0,
  since: 1,
  group: base(width),
  meaning: { kind: 'neg', width },
});

/** RFC 9669 section 4.2: the immediate is the size in bits; the 64-bit ones belong to base64. */
function swaps(op: 'le' | 'be' | 'bswap'): readonly InsnSpec[] {
  const code = { le: BPF_ALU | END | BPF_K, be: BPF_ALU | END | BPF_X, bswap: BPF_ALU64 | END | BPF_K }[op];
  return ([16, 32, 64] as const).map((size) => ({
    ...unary,
    name: `${op}${size}`,
    code,
    imm: size,
    since: op === 'bswap' ? 4 : 1,
    group: size === 64 || op === 'bswap' ? 'base64' : 'base32',
    meaning: { kind: 'swap', op, size },
  }));
}

const WIDTHS: readonly Width[] = [32, 64];

export const ALU_INSNS: readonly InsnSpec[] = [
  ...WIDTHS.flatMap((width) => OPS.flatMap(([op, bits]) => binary(op, bits, width, 1, 0))),
  ...WIDTHS.flatMap((width) => SIGNED.flatMap(([op, bits]) => binary(op, bits, width, 4, SIGNED_OFFSET))),
  ...WIDTHS.flatMap(moves),
  ...WIDTHS.map(negate),
  ...(['le', 'be', 'bswap'] as const).flatMap(swaps),
];
