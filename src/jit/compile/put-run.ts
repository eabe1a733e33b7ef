import { type BpfCode, type Insn, ISA, insnTable, type Meaning } from '../bpf/index.ts';
import { RAX } from '../x86/registers.ts';
import type { CodeBuffer } from './code-buffer.ts';
import type { Draft } from './draft.ts';
import { type Form, formOf } from './forms.ts';
import { JCC } from './jcc.ts';
import { isImm8, modRm, putMovImm32, putRegister, putRegisters, rex, rexBase, X86_REGISTER } from './x86.ts';

// Tables and numbers of this file are not exported: what a module exports or imports is looked up each time that it is used.

/** Where a form is not what the kernel writes, and what it looks at: operands that are the same, an immediate, %rax with a long one. */
const NEVER = 0;
const SAME_REGISTERS = 1;
const IMMEDIATE_1 = 2;
const IMMEDIATE_0 = 3;
const LONG_FOR_RAX = 4;
const CONSTANT = 5;

function unlessOf(meaning: Meaning): number {
  switch (meaning.kind) {
    case 'mov':
      return meaning.from === 'imm' ? CONSTANT : meaning.width === 64 ? SAME_REGISTERS : NEVER;
    case 'jump':
      return meaning.from === 'imm' && meaning.op !== 'jset' ? IMMEDIATE_0 : NEVER;
    case 'alu':
      if (meaning.from === 'reg' || meaning.op === 'mul') return NEVER;
      return ['lsh', 'rsh', 'arsh'].includes(meaning.op) ? IMMEDIATE_1 : LONG_FOR_RAX;
    default:
      return NEVER;
  }
}

/** Columns of {@link FORM_TABLE}. */
const UNLESS = 0;
/** REX, opcode and opcode extension, the first byte lowest. */
const HEAD = 1;
/** What the head is changed by, as exclusive or, where the tail fits a byte; where it does not, the next column. */
const SHORT = 2;
/** How far up in the head ModRM is. */
const MODRM_SHIFT = 4;
/** `destination * DST_STEP + source * SRC_STEP` is the place of the operands in {@link PAIRS}. */
const DST_STEP = 5;
const SRC_STEP = 6;
/** The tail is `imm & IMM_MASK | off & OFF_MASK`. */
const IMM_MASK = 7;
const OFF_MASK = 8;
/** Bytes of the tail: so many, and so many more where one byte is not enough for it. */
const TAIL_BYTES = 9;
const TAIL_MORE_BYTES = 10;
/** 1 where a jump follows. */
const IS_JUMP = 11;
/** Its condition, as the opcode of its short form. */
const CONDITION = 12;

/** Numbers an instruction in {@link FORM_TABLE}, as a power of two. */
const ROW_SHIFT = 4;

const MOD_8 = 0x80;
const MOD_32 = 0x40;
/** From an operation with an immediate of 8 bits to the same with 32. */
const TO_32 = 0x02_00;
const DST_STEPS: Readonly<Record<Form['operands'], number>> = { 'dst src': 16, 'src dst': 1, 'dst dst': 17, dst: 16 };
const SRC_STEPS: Readonly<Record<Form['operands'], number>> = { 'dst src': 1, 'src dst': 16, 'dst dst': 0, dst: 0 };

function rowOf(form: Form, meaning: Meaning): readonly number[] {
  const { base, opcode, isLong = false, operands, extension = 0, tail } = form;
  const shift = isLong ? 24 : 16;
  const isAny = tail === 'imm' || tail === 'off';
  const isJump = meaning.kind === 'jump';
  return [
    unlessOf(meaning),
    base | (extension << shift) | (isLong ? 0x0f_00 | (opcode << 16) : opcode << 8),
    tail === 'off' ? MOD_8 << shift : 0,
    tail === 'off' ? MOD_32 << shift : tail === 'imm' ? TO_32 : 0,
    shift,
    DST_STEPS[operands],
    SRC_STEPS[operands],
    tail.startsWith('imm') ? -1 : 0,
    tail === 'off' ? -1 : 0,
    tail === 'none' ? 0 : tail === 'imm32' ? 4 : 1,
    isAny ? 3 : 0,
    isJump ? 1 : 0,
    isJump ? JCC[meaning.op] : 0,
  ];
}

/**
 * The forms as numbers, a row for each place in ISA. Compiling spends its time where the CPU cannot foresee a branch, so what differs from one
 * instruction to the next is looked up and added, not asked for.
 */
const FORM_TABLE = new Int32Array(256 << ROW_SHIFT);
for (const { index, meaning } of ISA) {
  const form = formOf(meaning);
  if (form !== undefined) FORM_TABLE.set(rowOf(form, meaning), index << ROW_SHIFT);
}
const HAS_FORM = insnTable(({ meaning }) => (formOf(meaning) === undefined ? 0 : 1));

/** ModRM and, above it, REX bits of two BPF registers, `rm << 4 | reg`. */
const PAIRS = Int32Array.from({ length: 256 }, (_, pair) => {
  const [rm, reg] = [X86_REGISTER[pair >> 4] ?? 0, X86_REGISTER[pair & 15] ?? 0];
  return modRm(rm, reg) | (rex(0, rm, reg) << 8);
});

/** Whether `putRun` writes it. */
export const hasForm = ({ index }: Insn): boolean => HAS_FORM[index] === 1;

/** More than an instruction that has a form takes. */
const BYTES_MAX = 16;

/**
 * Writes instructions from `slot` on, until one that has no form or `end`; answers where it stopped.
 *
 * 1. Head: REX, opcode and ModRM, put together from the instruction's and the registers' parts.
 * 2. Tail: the immediate or the displacement, in one byte or in four; the head says which.
 * 3. The jump behind, if any: it is always noted, and counted where there is one.
 */
export function putRun(draft: Draft, slot: number, end: number): number {
  const { b, code, slotAt, slotJumps } = draft;
  const { insn: insns, dst: dsts, src: srcs, off: offs, imm: imms } = code;
  let at = slot;
  for (; at < end; at++) {
    const insn = insns[at] as number;
    if (HAS_FORM[insn] === 0) break;
    slotAt[at] = b.length;
    slotJumps[at] = draft.jumps;
    b.reserve(BYTES_MAX);
    const row = insn << ROW_SHIFT;
    const off = offs[at] as number;
    if (FORM_TABLE[row + UNLESS] === NEVER || !putExceptional(b, code, at)) {
      const pair = PAIRS[
        (dsts[at] as number) * (FORM_TABLE[row + DST_STEP] as number) +
          (srcs[at] as number) * (FORM_TABLE[row + SRC_STEP] as number)
      ] as number;
      const tail =
        ((imms[at] as number) & (FORM_TABLE[row + IMM_MASK] as number)) |
        (off & (FORM_TABLE[row + OFF_MASK] as number));
      const isLong = isBeyondByte(tail);
      const shift = FORM_TABLE[row + MODRM_SHIFT] as number;
      const head = (FORM_TABLE[row + HEAD] as number) | (pair >> 8) | ((pair & 0xff) << shift);
      b.putRexed(head ^ (FORM_TABLE[row + SHORT + isLong] as number), (shift >> 3) + 1);
      b.put(tail, (FORM_TABLE[row + TAIL_BYTES] as number) + (FORM_TABLE[row + TAIL_MORE_BYTES] as number) * isLong);
    }
    draft.noteJump(FORM_TABLE[row + CONDITION] as number, at + 1 + off);
    draft.jumps += FORM_TABLE[row + IS_JUMP] as number;
  }
  return at;
}

/** 1 for a number that does not fit a signed byte, else 0. */
function isBeyondByte(value: number): number {
  const high = (value + 128) & ~0xff;
  return (high | -high) >>> 31;
}

/** Writes what the kernel writes instead of the form; false where it is the form. */
function putExceptional(b: CodeBuffer, code: BpfCode, at: number): boolean {
  const insn = code.insn[at] as number;
  const imm = code.imm[at] as number;
  const dst = X86_REGISTER[code.dst[at] as number] as number;
  const row = insn << ROW_SHIFT;
  const head = FORM_TABLE[row + HEAD] as number;
  const base = head & 0xff;
  switch (FORM_TABLE[row + UNLESS]) {
    case SAME_REGISTERS:
      return code.dst[at] === code.src[at];
    case IMMEDIATE_1:
      if (imm !== 1) return false;
      putRegister(b, base, 0xd1, head >>> 16, dst);
      return true;
    case IMMEDIATE_0:
      if (imm !== 0) return false;
      putRegisters(b, base, 0x85, dst, dst);
      return true;
    case LONG_FOR_RAX:
      if (dst !== RAX || isImm8(imm)) return false;
      b.putRexed(base | ((((head >> 16) & 0x38) | 0x05) << 8), 2);
      b.put32(imm);
      return true;
    default:
      putMovImm32(b, base !== rexBase(false), dst, imm);
      return true;
  }
}
