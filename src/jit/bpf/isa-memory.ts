import type { AtomicOp, ImmediateSource, InsnSpec, Size, Width } from './insn.ts';
import {
  BPF_ATOMIC,
  BPF_B,
  BPF_CMPXCHG,
  BPF_DW,
  BPF_FETCH,
  BPF_H,
  BPF_LD_IMM64,
  BPF_LDX,
  BPF_MEM,
  BPF_MEMSX,
  BPF_NOSPEC,
  BPF_PROBE_MEM,
  BPF_PROBE_MEMSX,
  BPF_ST,
  BPF_STX,
  BPF_W,
  BPF_XCHG,
} from './opcodes.ts';

const SIZES: readonly (readonly [Size, number, string])[] = [
  [8, BPF_B, 'b'],
  [16, BPF_H, 'h'],
  [32, BPF_W, 'w'],
  [64, BPF_DW, 'dw'],
];

const groupOf = (size: Size): 'base32' | 'base64' => (size === 64 ? 'base64' : 'base32');

function loads(isProbe: boolean): readonly InsnSpec[] {
  const common = { dst: 'write', src: 'read', off: 'displacement', imm: 0 } as const;
  const internal = { since: undefined, group: 'internal' } as const;
  const plain = isProbe ? BPF_PROBE_MEM : BPF_MEM;
  const signed = isProbe ? BPF_PROBE_MEMSX : BPF_MEMSX;
  const prefix = isProbe ? 'probe ' : '';
  return [
    ...SIZES.map(
      ([size, bits, letter]): InsnSpec => ({
        ...common,
        name: `${prefix}ldx${letter}`,
        code: BPF_LDX | plain | bits,
        ...(isProbe ? internal : { since: 1, group: groupOf(size) }),
        meaning: { kind: 'load', size, isSigned: false, isProbe },
      }),
    ),
    ...SIZES.slice(0, 3).map(
      ([size, bits, letter]): InsnSpec => ({
        ...common,
        name: `${prefix}ldxs${letter}`,
        code: BPF_LDX | signed | bits,
        ...(isProbe ? internal : { since: 4, group: 'base64' }),
        meaning: { kind: 'load', size, isSigned: true, isProbe },
      }),
    ),
  ];
}

const stores: readonly InsnSpec[] = SIZES.flatMap(([size, bits, letter]): InsnSpec[] => [
  {
    name: `st${letter}`,
    code: BPF_ST | BPF_MEM | bits,
    dst: 'read',
    src: 'unused',
    off: 'displacement',
    imm: 'value',
    since: 1,
    group: groupOf(size),
    meaning: { kind: 'store', size, from: 'imm' },
  },
  {
    name: `stx${letter}`,
    code: BPF_STX | BPF_MEM | bits,
    dst: 'read',
    src: 'read',
    off: 'displacement',
    imm: 0,
    since: 1,
    group: groupOf(size),
    meaning: { kind: 'store', size, from: 'reg' },
  },
]);

const ATOMICS: readonly (readonly [AtomicOp, number, boolean])[] = [
  ['add', 0x00, false],
  ['or', 0x40, false],
  ['and', 0x50, false],
  ['xor', 0xa0, false],
  ['add', 0x00 | BPF_FETCH, true],
  ['or', 0x40 | BPF_FETCH, true],
  ['and', 0x50 | BPF_FETCH, true],
  ['xor', 0xa0 | BPF_FETCH, true],
  ['xchg', BPF_XCHG, true],
  ['cmpxchg', BPF_CMPXCHG, true],
];

const atomics = (width: Width): readonly InsnSpec[] =>
  ATOMICS.map(([op, imm, isFetch]) => {
    const fetch = isFetch && op !== 'xchg' && op !== 'cmpxchg' ? 'fetch ' : '';
    return {
      name: `lock ${fetch}${op}${width === 64 ? '' : '32'}`,
      code: BPF_STX | BPF_ATOMIC | (width === 64 ? BPF_DW : BPF_W),
      dst: 'read',
      // cmpxchg compares with and answers in R0; its source is only read.
      src: isFetch && op !== 'cmpxchg' ? 'update' : 'read',
      off: 'displacement',
      imm,
      since: imm === 0 ? 1 : 3,
      group: width === 64 ? 'atomic64' : 'atomic32',
      meaning: { kind: 'atomic', op, width, isFetch },
    };
  });

const IMMEDIATES: readonly (readonly [ImmediateSource, string])[] = [
  ['number', 'lddw'],
  ['map-fd', 'lddw map_fd'],
  ['map-value', 'lddw map_value'],
  ['btf-id', 'lddw btf_id'],
  ['function', 'lddw function'],
  ['map-index', 'lddw map_idx'],
  ['map-index-value', 'lddw map_idx_value'],
];

/** RFC 9669 section 5.4; the high half stands in the immediate of a second slot whose other fields are reserved. */
const immediates = IMMEDIATES.map(
  ([is, name], src): InsnSpec => ({
    name,
    code: BPF_LD_IMM64,
    dst: 'write',
    src,
    off: 0,
    imm: 'low',
    since: 1,
    group: 'base64',
    meaning: { kind: 'ld-imm64', is },
  }),
);

export const MEMORY_INSNS: readonly InsnSpec[] = [
  ...immediates,
  ...loads(false),
  ...stores,
  ...atomics(32),
  ...atomics(64),
  ...loads(true),
  {
    name: 'nospec',
    code: BPF_ST | BPF_NOSPEC,
    dst: 'unused',
    src: 'unused',
    off: 0,
    imm: 0,
    since: undefined,
    group: 'internal',
    meaning: { kind: 'nospec' },
  },
];
