import type { AluOp, Meaning, SignedOp, Size } from '../bpf/index.ts';
import { rexBase } from './x86.ts';

/** Which register fields a ModRM byte gets: the destination as r/m and the source as reg, the other way round, the destination twice. */
type Operands = 'dst src' | 'src dst' | 'dst dst' | 'dst';
/** What follows ModRM. Of the first two, one byte where that is enough, else four. */
type Tail = 'imm' | 'off' | 'imm8' | 'imm32' | 'none';

/**
 * One x86 instruction, of which only registers and numbers differ: what most BPF instructions become. REX, opcode (two bytes when the first is
 * 0x0f), ModRM, then the tail.
 */
export interface Form {
  readonly base: number;
  readonly opcode: number;
  readonly isLong?: true;
  readonly operands: Operands;
  /** Opcode extension, as the ModRM byte for %rax. */
  readonly extension?: number;
  readonly tail: Tail;
}

/** Opcode with a register, opcode extension with an immediate as the ModRM byte for %rax. */
const GROUP_1: Readonly<Partial<Record<AluOp | SignedOp, readonly [number, number]>>> = {
  add: [0x01, 0xc0],
  or: [0x09, 0xc8],
  and: [0x21, 0xe0],
  sub: [0x29, 0xe8],
  xor: [0x31, 0xf0],
};
const SHIFTS: Readonly<Partial<Record<AluOp | SignedOp, number>>> = { lsh: 0xe0, rsh: 0xe8, arsh: 0xf8 };
/** Behind 0x0f: loads of a byte and of two, zero- and sign-extending. */
const EXTENDING: Readonly<Partial<Record<Size, readonly [number, number]>>> = { 8: [0xb6, 0xbe], 16: [0xb7, 0xbf] };

type Of<K extends Meaning['kind']> = Meaning & { readonly kind: K };

function aluForm({ op, width, from }: Of<'alu'>): Form | undefined {
  const base = rexBase(width === 64);
  const group = GROUP_1[op];
  if (group !== undefined)
    return from === 'reg'
      ? { base, opcode: group[0], operands: 'dst src', tail: 'none' }
      : { base, opcode: 0x83, operands: 'dst', extension: group[1], tail: 'imm' };
  if (op === 'mul')
    return from === 'reg'
      ? { base, opcode: 0xaf, isLong: true, operands: 'src dst', tail: 'none' }
      : { base, opcode: 0x6b, operands: 'dst dst', tail: 'imm' };
  const shift = SHIFTS[op];
  if (shift === undefined || from === 'reg') return undefined;
  return { base, opcode: 0xc1, operands: 'dst', extension: shift, tail: 'imm8' };
}

export function loadForm({ size, isSigned }: Pick<Of<'load'>, 'size' | 'isSigned'>): Form {
  const common = { operands: 'src dst', tail: 'off' } as const;
  const extending = EXTENDING[size];
  if (extending !== undefined) return { ...common, base: 0x48, opcode: extending[isSigned ? 1 : 0], isLong: true };
  return { ...common, base: rexBase(size === 64 || isSigned), opcode: isSigned ? 0x63 : 0x8b };
}

function jumpForm({ op, width, from }: Of<'jump'>): Form {
  const base = rexBase(width === 64);
  const isTest = op === 'jset';
  if (from === 'reg') return { base, opcode: isTest ? 0x85 : 0x39, operands: 'dst src', tail: 'none' };
  if (isTest) return { base, opcode: 0xf7, operands: 'dst', extension: 0xc0, tail: 'imm32' };
  return { base, opcode: 0x83, operands: 'dst', extension: 0xf8, tail: 'imm' };
}

function movsxForm({ width, size }: Of<'movsx'>): Form | undefined {
  const base = rexBase(width === 64);
  if (size === 32) return { base, opcode: 0x63, operands: 'src dst', tail: 'none' };
  // The low byte of %rsi and %rdi can only be named with a REX.
  if (size === 8 && width === 32) return undefined;
  return { base, opcode: size === 8 ? 0xbe : 0xbf, isLong: true, operands: 'src dst', tail: 'none' };
}

/** The form of an instruction that has one. */
export function formOf(meaning: Meaning): Form | undefined {
  switch (meaning.kind) {
    case 'alu':
      return aluForm(meaning);
    case 'mov':
      return meaning.from === 'imm'
        ? { base: rexBase(meaning.width === 64), opcode: 0xc7, operands: 'dst', extension: 0xc0, tail: 'imm32' }
        : { base: rexBase(meaning.width === 64), opcode: 0x89, operands: 'dst src', tail: 'none' };
    case 'movsx':
      return movsxForm(meaning);
    case 'neg':
      return { base: rexBase(meaning.width === 64), opcode: 0xf7, operands: 'dst', extension: 0xd8, tail: 'none' };
    case 'load':
      return meaning.isProbe ? undefined : loadForm(meaning);
    case 'store':
      if (meaning.from === 'imm' || meaning.size < 32) return undefined;
      return { base: rexBase(meaning.size === 64), opcode: 0x89, operands: 'dst src', tail: 'off' };
    case 'jump':
      return jumpForm(meaning);
    default:
      return undefined;
  }
}
