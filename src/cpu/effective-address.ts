import { type Insn, modrmMod, modrmRm, PREFIX_ADDRESS_SIZE, PREFIX_FS, PREFIX_GS } from '../insn/index.ts';
import type { EffectiveAddress } from './operand.ts';
import { FS_BASE, GS_BASE } from './registers.ts';
import { carryOf } from './wide.ts';

/** The parts of a memory operand; register indices are those of low words, -1 for none. */
export interface AddressParts {
  readonly base: number;
  readonly index: number;
  /** 0 to 3. */
  readonly shift: number;
  /** Sign-extended displacement; for an operand addressed from %rip the whole address. */
  readonly low: number;
  readonly high: number;
  readonly segment: number;
  /** With an address-size prefix the sum is cut to 32 bits before the segment's base is added. */
  readonly is32: boolean;
}

export function addressParts(insn: Insn, nextHigh: number, nextLow: number, rexX: number, rexB: number): AddressParts {
  const segment = insn.prefixes & PREFIX_GS ? GS_BASE : insn.prefixes & PREFIX_FS ? FS_BASE : -1;
  const is32 = (insn.prefixes & PREFIX_ADDRESS_SIZE) !== 0;
  const displacement = insn.displacement.value | 0;
  const high = displacement >> 31;
  const rest = { segment, is32, shift: 0, index: -1, base: -1, low: displacement, high };
  const mod = modrmMod(insn.modrm);
  const rm = modrmRm(insn.modrm);
  if (mod === 0 && rm === 5) {
    const low = (nextLow + displacement) | 0;
    return { ...rest, low, high: (nextHigh + high + carryOf(nextLow, displacement, low)) | 0 };
  }
  if (rm !== 4) return { ...rest, base: (rm | (rexB << 3)) * 2 };
  const index = ((insn.sib >> 3) & 7) | (rexX << 3);
  const hasBase = mod !== 0 || (insn.sib & 7) !== 5;
  return {
    ...rest,
    base: hasBase ? ((insn.sib & 7) | (rexB << 3)) * 2 : -1,
    index: index === 4 ? -1 : index * 2,
    shift: insn.sib >> 6,
  };
}

/** The address of the parts, without a segment. */
function linear({ base, index, shift, low, high }: AddressParts): EffectiveAddress {
  if (index < 0 && base < 0)
    return (c) => {
      c.addressLow = low;
      c.addressHigh = high;
    };
  if (index < 0)
    return (c) => {
      const a = c.words[base] ?? 0;
      const sum = (a + low) | 0;
      c.addressHigh = ((c.words[base + 1] ?? 0) + high + carryOf(a, low, sum)) | 0;
      c.addressLow = sum;
    };
  const unshifted = 32 - shift;
  const scaledHigh = (h: number, l: number): number => (shift === 0 ? h : (h << shift) | (l >>> unshifted));
  if (base < 0)
    return (c) => {
      const i = c.words[index] ?? 0;
      const scaled = i << shift;
      const sum = (scaled + low) | 0;
      c.addressHigh = (scaledHigh(c.words[index + 1] ?? 0, i) + high + carryOf(scaled, low, sum)) | 0;
      c.addressLow = sum;
    };
  return (c) => {
    const i = c.words[index] ?? 0;
    const scaled = i << shift;
    const b = c.words[base] ?? 0;
    const partial = (scaled + b) | 0;
    const sum = (partial + low) | 0;
    const carries = carryOf(scaled, b, partial) + carryOf(partial, low, sum);
    c.addressHigh = (scaledHigh(c.words[index + 1] ?? 0, i) + (c.words[base + 1] ?? 0) + high + carries) | 0;
    c.addressLow = sum;
  };
}

/** @param withSegment false for lea, which ignores the segment */
export function effectiveAddress(parts: AddressParts, withSegment: boolean): EffectiveAddress {
  const plain = linear(parts);
  const { segment, is32 } = parts;
  if (!is32 && (segment < 0 || !withSegment)) return plain;
  return (c) => {
    plain(c);
    if (is32) c.addressHigh = 0;
    if (segment < 0 || !withSegment) return;
    const base = c.words[segment] ?? 0;
    const sum = (c.addressLow + base) | 0;
    c.addressHigh = (c.addressHigh + (c.words[segment + 1] ?? 0) + carryOf(c.addressLow, base, sum)) | 0;
    c.addressLow = sum;
  };
}
