import { S32_MAX, S32_MIN, S64_MAX, S64_MIN, U32_MAX } from './bounds.ts';
import type { Env } from './env.ts';
import type { Reg } from './reg.ts';
import { typeOf } from './reg.ts';
import { type Frame, INVALID, isSpilled, SLOT_SIZE, SPILL, type StackSlot, WRITTEN } from './state.ts';
import { isConst, isUnknown, s64, type Tnum, U64_MAX, u64 } from './tnum.ts';

const BYTE_LETTERS = ['?', 'r', 'm', '0'] as const;
const hex = (value: bigint): string => `0x${u64(value).toString(16)}`;

/** Unsigned: decimal up to 65535, else hex (verbose_unum). */
export const unsignedText = (value: bigint): string => (value <= 0xffffn ? `${value}` : hex(value));
/** Signed: decimal between -32768 and 32767. */
export const signedText = (value: bigint): string => {
  const signed = s64(value);
  return signed >= -0x8000n && signed <= 0x7fffn ? `${signed}` : hex(value);
};

/** tnum_strn. */
export const tnumText = ({ value, mask }: Tnum): string =>
  mask === 0n ? unsignedText(value) : `(${hex(value)}; ${hex(mask)})`;

interface End {
  readonly name: string;
  readonly value: bigint;
  readonly isSigned: boolean;
  isOmitted: boolean;
}

/** The two halves are told together where they are equal; a negative 32-bit end in hex is not sign-extended (print_scalar_ranges). */
function endsOf(reg: Reg): readonly End[] {
  const s32 = (value: number): bigint => (value >= -0x8000 && value <= 0x7fff ? BigInt(value) : BigInt(value >>> 0));
  const end = (name: string, value: bigint, isOmitted: boolean): End => ({
    name,
    value: u64(value),
    isSigned: name.startsWith('s'),
    isOmitted,
  });
  return [
    end('smin', reg.smin, reg.smin === S64_MIN),
    end('smax', reg.smax, reg.smax === S64_MAX),
    end('umin', reg.umin, reg.umin === 0n),
    end('umax', reg.umax, reg.umax === U64_MAX),
    end('smin32', s32(reg.s32min), reg.s32min === S32_MIN),
    end('smax32', s32(reg.s32max), reg.s32max === S32_MAX),
    end('umin32', BigInt(reg.u32min), reg.u32min === 0),
    end('umax32', BigInt(reg.u32max), reg.u32max === U32_MAX),
  ];
}

function rangeTexts(reg: Reg): readonly string[] {
  const ends = endsOf(reg);
  const isNegative = ({ isSigned, value }: End): boolean => isSigned && s64(value) < 0n;
  const texts: string[] = [];
  for (const [index, first] of ends.entries()) {
    if (first.isOmitted) continue;
    let names = `${first.name}=`;
    for (let other = index + 2; other < ends.length; other += 2) {
      const end = ends[other] as End;
      if (end.isOmitted || end.value !== first.value || isNegative(end) !== isNegative(first)) continue;
      end.isOmitted = true;
      names += `${end.name}=`;
    }
    texts.push(names + (first.isSigned ? signedText(first.value) : unsignedText(first.value)));
  }
  return texts;
}

/** print_reg_state (kernel/bpf/log.c, 6.12). */
export function regText(env: Env, frame: Frame, reg: Reg): string {
  const { type, tnum, off } = reg;
  const precise = type === 'scalar' && reg.precise ? 'P' : '';
  if (type === 'scalar' && isConst(tnum)) return precise + signedText(tnum.value);
  let text = precise + typeOf(reg);
  if (type === 'fp') {
    if (frame.frameno !== reg.frameno) text += `[${reg.frameno}]`;
    if (isConst(tnum)) return text + signedText(tnum.value + BigInt(off));
  }
  if (type === 'ptr_') text += env.btfName(reg.btfId);
  const parts: string[] = [];
  if (reg.id !== 0) parts.push(`id=${reg.id}${reg.isAddConst ? `${off < 0 ? '' : '+'}${off}` : ''}`);
  if (reg.refObjId !== 0) parts.push(`ref_obj_id=${reg.refObjId}`);
  if (reg.map !== undefined) {
    if (reg.map.name !== '') parts.push(`map=${reg.map.name}`);
    parts.push(`ks=${reg.map.keySize}`, `vs=${reg.map.valueSize}`);
  }
  if (type !== 'scalar' && off !== 0) parts.push(`off=${signedText(BigInt(off))}`);
  if (type === 'mem') parts.push(`sz=${unsignedText(BigInt(reg.memSize))}`);
  if (isConst(tnum)) {
    if (tnum.value !== 0n) parts.push(`imm=${signedText(tnum.value)}`);
  } else {
    parts.push(...rangeTexts(reg));
    if (!isUnknown(tnum)) parts.push(`var_off=${tnumText(tnum)}`);
  }
  return `${text}(${parts.join(',')})`;
}

function slotText(env: Env, frame: Frame, slot: StackSlot): string {
  const letters = slot.types.map((type) => BYTE_LETTERS[type]).join('');
  if (!isSpilled(slot)) return letters;
  return letters.slice(0, slot.types.indexOf(SPILL)) + regText(env, frame, slot.reg);
}

/** print_verifier_state: one line of what changed (or of everything), which then counts as told. */
export function stateText(env: Env, frame: Frame, isAll: boolean): string {
  let text = frame.frameno === 0 ? '' : ` frame${frame.frameno}:`;
  for (const [index, reg] of frame.regs.entries()) {
    if (reg.type === '?' || (!isAll && !env.isRegTouched(index))) continue;
    text += ` R${index}${(frame.written & (1 << index)) === 0 ? '' : '_w'}=${regText(env, frame, reg)}`;
  }
  for (const [index, slot] of frame.stack.entries()) {
    if (!isAll && !env.isSlotTouched(index)) continue;
    if (slot.types.every((type) => type === INVALID)) continue;
    const live = ((frame.slotLive[index] ?? 0) & WRITTEN) === 0 ? '' : '_w';
    text += ` fp${(-index - 1) * SLOT_SIZE}${live}=${slotText(env, frame, slot)}`;
  }
  if (frame.refs.length > 0) text += ` refs=${frame.refs.map(({ id }) => id).join(',')}`;
  if (frame.callbackRange !== undefined) text += ' cb';
  if (!isAll) env.clearTouched();
  return `${text}\n`;
}

/** verbose_invalid_scalar: what a value is, and what it should have been. */
export function invalidScalarText(
  reg: Reg,
  range: { readonly min: number; readonly max: number },
  what: string,
  name: string,
): string {
  let text = `${what} the register ${name} has`;
  if (reg.smin > S64_MIN) text += ` smin=${reg.smin}`;
  if (reg.smax < S64_MAX) text += ` smax=${reg.smax}`;
  if (reg.smin === S64_MIN && reg.smax === S64_MAX) text += ' unknown scalar value';
  return `${text} should have been in [${range.min}, ${range.max}]`;
}
