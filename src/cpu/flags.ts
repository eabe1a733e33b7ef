import {
  AF,
  CF,
  FLAG_AUX,
  FLAG_CARRY,
  FLAG_PARITY,
  FLAG_REST,
  FLAG_SIGN,
  FLAG_ZERO,
  OF,
  PF,
  SF,
  STATUS_FLAGS,
  ZF,
} from './registers.ts';

/** Bit n is 1 when the nibble n has an even number of ones. */
const EVEN_NIBBLES = 0x9669;
const RESERVED_ONE = 0x2;
const REST_FLAGS = 0x3f_7700;

export const getCF = (r: Int32Array): number => (r[FLAG_CARRY] ?? 0) >>> 31;

export function getOF(r: Int32Array): number {
  const carries = r[FLAG_CARRY] ?? 0;
  return (carries ^ (carries << 1)) >>> 31;
}

export function getPF(r: Int32Array): number {
  const low = r[FLAG_PARITY] ?? 0;
  return (EVEN_NIBBLES >>> ((low ^ (low >>> 4)) & 0xf)) & 1;
}

/** RFLAGS, all of it: bits 0 to 31. */
export function readFlags(r: Int32Array): number {
  const aux = (r[FLAG_AUX] ?? 0) & 0x10;
  const zero = r[FLAG_ZERO] === 0 ? ZF : 0;
  const sign = ((r[FLAG_SIGN] ?? 0) >>> 31) << 7;
  return (r[FLAG_REST] ?? 0) | RESERVED_ONE | getCF(r) | (getPF(r) << 2) | aux | zero | sign | (getOF(r) << 11);
}

/** Carry vector with the given CF and OF (0 or 1 each). */
export const carryVector = (cf: number, of: number): number => (cf << 31) | ((cf ^ of) << 30);

/** Sets the arithmetic flags from bits of RFLAGS, in the one canonical form that {@link canonicalFlags} also makes. */
export function writeStatusFlags(r: Int32Array, flags: number): void {
  r[FLAG_ZERO] = flags & ZF ? 0 : 1;
  r[FLAG_SIGN] = flags & SF ? -1 : 0;
  r[FLAG_CARRY] = carryVector(flags & CF, (flags & OF) >>> 11);
  r[FLAG_PARITY] = flags & PF ? 0 : 1;
  r[FLAG_AUX] = flags & AF;
}

export function writeFlags(r: Int32Array, flags: number): void {
  writeStatusFlags(r, flags);
  r[FLAG_REST] = flags & REST_FLAGS;
}

/** Makes equal flags equal words, for comparing and hashing states. */
export const canonicalFlags = (r: Int32Array): void => writeStatusFlags(r, readFlags(r) & STATUS_FLAGS);

/** The condition `cc` (low nibble of jcc, setcc, cmovcc). */
export function condition(r: Int32Array, cc: number): boolean {
  switch (cc >> 1) {
    case 0:
      return getOF(r) !== (cc & 1);
    case 1:
      return getCF(r) !== (cc & 1);
    case 2:
      return (r[FLAG_ZERO] === 0) !== ((cc & 1) === 1);
    case 3:
      return ((r[FLAG_CARRY] ?? 0) < 0 || r[FLAG_ZERO] === 0) !== ((cc & 1) === 1);
    case 4:
      return (r[FLAG_SIGN] ?? 0) >>> 31 !== (cc & 1);
    case 5:
      return getPF(r) !== (cc & 1);
    case 6:
      return ((r[FLAG_SIGN] ?? 0) >>> 31 !== getOF(r)) !== ((cc & 1) === 1);
    default:
      return ((r[FLAG_SIGN] ?? 0) >>> 31 !== getOF(r) || r[FLAG_ZERO] === 0) !== ((cc & 1) === 1);
  }
}
