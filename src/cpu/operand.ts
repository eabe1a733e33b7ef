import type { Cpu } from './cpu.ts';

/** One instruction, ready to run: everything that its bytes decide is decided. */
export type Op = (cpu: Cpu) => void;
/** Puts an address into `cpu.addressHigh` and `cpu.addressLow`. */
export type EffectiveAddress = (cpu: Cpu) => void;
/** A value: zero-extended for one and two bytes, signed for four; for eight the low word, the high one is in `cpu.valueHigh`. */
export type Load = (cpu: Cpu) => number;
/** Takes a value as {@link Load} gives it; what is beyond the size is ignored. */
export type Store = (cpu: Cpu, low: number, high: number) => void;

export type Size = 1 | 2 | 4 | 8;

export interface RegisterOperand {
  readonly kind: 'register';
  readonly size: Size;
  /** Index into the CPU's view of elements of this size: `bytes`, `halves`, and `words` for four and eight (the low word). */
  readonly index: number;
}

export interface MemoryOperand {
  readonly kind: 'memory';
  readonly size: Size;
  readonly address: EffectiveAddress;
  /** Set for displacement(%base) without a segment, the commonest of all: index of the base's low word. */
  readonly simple?: { readonly base: number; readonly displacement: number };
}

export interface ImmediateOperand {
  readonly kind: 'immediate';
  readonly size: Size;
  /** Sign-extended to 64 bits. A branch target is an immediate, too: the address. */
  readonly low: number;
  readonly high: number;
}

export type Operand = RegisterOperand | MemoryOperand | ImmediateOperand;
/** An operand that can be written. */
export type Place = RegisterOperand | MemoryOperand;

function loadRegister({ size, index }: RegisterOperand): Load {
  switch (size) {
    case 1:
      return (c) => c.bytes[index] ?? 0;
    case 2:
      return (c) => c.halves[index] ?? 0;
    case 4:
      return (c) => c.words[index] ?? 0;
    default:
      return (c) => {
        c.valueHigh = c.words[index + 1] ?? 0;
        return c.words[index] ?? 0;
      };
  }
}

function readAt(size: Size): Load {
  switch (size) {
    case 1:
      return (c) => c.space.read8(c.addressHigh, c.addressLow);
    case 2:
      return (c) => c.space.read16(c.addressHigh, c.addressLow);
    case 4:
      return (c) => c.space.read32(c.addressHigh, c.addressLow);
    default:
      return (c) => {
        const low = c.space.read64(c.addressHigh, c.addressLow);
        c.valueHigh = c.space.high;
        return low;
      };
  }
}

/** Reading {@link size} bytes at the address in `cpu.addressHigh/Low`. */
export const READ_AT: Readonly<Record<Size, Load>> = { 1: readAt(1), 2: readAt(2), 4: readAt(4), 8: readAt(8) };

/** Storing {@link size} bytes there. */
export const WRITE_AT: Readonly<Record<Size, Store>> = {
  1: (c, low) => c.space.write8(c.addressHigh, c.addressLow, low),
  2: (c, low) => c.space.write16(c.addressHigh, c.addressLow, low),
  4: (c, low) => c.space.write32(c.addressHigh, c.addressLow, low),
  8: (c, low, high) => c.space.write64(c.addressHigh, c.addressLow, high, low),
};

function loadMemory({ size, address }: MemoryOperand): Load {
  const read = READ_AT[size];
  return (c) => {
    address(c);
    return read(c);
  };
}

export function loadOf(operand: Operand): Load {
  if (operand.kind === 'register') return loadRegister(operand);
  if (operand.kind === 'memory') return loadMemory(operand);
  const { low, high, size } = operand;
  if (size === 1) return () => low & 0xff;
  if (size === 2) return () => low & 0xffff;
  return (c) => {
    c.valueHigh = high;
    return low;
  };
}

function storeRegister({ size, index }: RegisterOperand): Store {
  switch (size) {
    case 1:
      return (c, low) => {
        c.bytes[index] = low;
      };
    case 2:
      return (c, low) => {
        c.halves[index] = low;
      };
    case 4:
      // A 32-bit result clears the upper half (SDM vol. 1, 3.4.1.1).
      return (c, low) => {
        c.words[index] = low;
        c.words[index + 1] = 0;
      };
    default:
      return (c, low, high) => {
        c.words[index] = low;
        c.words[index + 1] = high;
      };
  }
}

export function storeOf(place: Place): Store {
  if (place.kind === 'register') return storeRegister(place);
  const { size, address } = place;
  const write = WRITE_AT[size];
  return (c, low, high) => {
    address(c);
    write(c, low, high);
  };
}

/** The first half of a read-modify-write: faults as the store would, so that {@link storeBackOf} cannot. */
export function loadForWriteOf(place: Place): Load {
  if (place.kind === 'register') return loadRegister(place);
  const { size, address } = place;
  const read = READ_AT[size];
  return (c) => {
    address(c);
    c.space.checkWrite(c.addressHigh, c.addressLow, size);
    return read(c);
  };
}

/** The second half: stores where {@link loadForWriteOf} has read. */
export const storeBackOf = (place: Place): Store =>
  place.kind === 'register' ? storeRegister(place) : WRITE_AT[place.size];
