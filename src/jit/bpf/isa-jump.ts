import type { InsnSpec, JumpOp, Width } from './insn.ts';
import {
  BPF_CALL,
  BPF_EXIT,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_K,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_TAIL_CALL,
  BPF_X,
} from './opcodes.ts';

const OPS: readonly (readonly [JumpOp, number, 1 | 2])[] = [
  ['jeq', 0x10, 1],
  ['jgt', 0x20, 1],
  ['jge', 0x30, 1],
  ['jset', 0x40, 1],
  ['jne', 0x50, 1],
  ['jsgt', 0x60, 1],
  ['jsge', 0x70, 1],
  ['jlt', 0xa0, 2],
  ['jle', 0xb0, 2],
  ['jslt', 0xc0, 2],
  ['jsle', 0xd0, 2],
];

function conditional(op: JumpOp, bits: number, width: Width, since: 1 | 2 | 3): readonly InsnSpec[] {
  const common = {
    name: `${op}${width === 64 ? '' : '32'}`,
    dst: 'read',
    off: 'target',
    since,
    group: width === 64 ? 'base64' : 'base32',
  } as const;
  const code = (width === 64 ? BPF_JMP : BPF_JMP32) | bits;
  return [
    { ...common, code: code | BPF_K, src: 'unused', imm: 'value', meaning: { kind: 'jump', op, width, from: 'imm' } },
    { ...common, code: code | BPF_X, src: 'read', imm: 0, meaning: { kind: 'jump', op, width, from: 'reg' } },
  ];
}

const plain = { dst: 'unused', src: 'unused', off: 0, imm: 0, since: 1, group: 'base32' } as const;

const OTHERS: readonly InsnSpec[] = [
  { ...plain, name: 'ja', code: BPF_JMP | BPF_JA, off: 'target', meaning: { kind: 'ja', from: 'off' } },
  { ...plain, name: 'ja32', code: BPF_JMP32 | BPF_JA, imm: 'target', since: 4, meaning: { kind: 'ja', from: 'imm' } },
  {
    ...plain,
    name: 'call',
    code: BPF_JMP | BPF_CALL | BPF_K,
    src: 0,
    imm: 'helper',
    meaning: { kind: 'call', callee: 'helper' },
  },
  {
    ...plain,
    name: 'call local',
    code: BPF_JMP | BPF_CALL | BPF_K,
    src: BPF_PSEUDO_CALL,
    imm: 'function',
    since: 3,
    meaning: { kind: 'call', callee: 'function' },
  },
  {
    ...plain,
    name: 'call kfunc',
    code: BPF_JMP | BPF_CALL | BPF_K,
    src: BPF_PSEUDO_KFUNC_CALL,
    off: 'kfunc-fd',
    imm: 'kfunc',
    since: 3,
    meaning: { kind: 'call', callee: 'kfunc' },
  },
  {
    ...plain,
    name: 'callx',
    code: BPF_JMP | BPF_CALL | BPF_X,
    dst: 'read',
    since: 4,
    group: 'callx',
    meaning: { kind: 'call', callee: 'register' },
  },
  { ...plain, name: 'exit', code: BPF_JMP | BPF_EXIT, meaning: { kind: 'exit' } },
  {
    ...plain,
    name: 'tail_call',
    code: BPF_JMP | BPF_TAIL_CALL,
    since: undefined,
    group: 'internal',
    meaning: { kind: 'tail-call' },
  },
];

export const JUMP_INSNS: readonly InsnSpec[] = [
  ...OPS.flatMap(([op, bits, since]) => conditional(op, bits, 64, since)),
  ...OPS.flatMap(([op, bits]) => conditional(op, bits, 32, 3)),
  ...OTHERS,
];
