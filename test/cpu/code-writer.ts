import type { Prng } from '../../src/base/index.ts';
import { LOG, LOG_MAX } from './layout.ts';

/** RFLAGS bits by their letters. */
const FLAG_BITS: Readonly<Record<string, number>> = { o: 0x800, s: 0x80, z: 0x40, a: 0x10, p: 0x4, c: 0x1 };

export const flagBits = (letters: string): number =>
  [...letters].reduce((bits, letter) => bits | (FLAG_BITS[letter] ?? 0), 0);

/** An entry of a case's log of flags: which of its bits are undefined. */
export interface LogEntry {
  readonly ignored: number;
}

/** Machine code under construction, at a known address. */
export class CodeWriter {
  readonly bytes: number[] = [];
  readonly log: LogEntry[] = [];
  readonly prng: Prng;
  readonly slot: number;
  readonly #start: number;

  constructor(prng: Prng, start: number, slot: number) {
    this.prng = prng;
    this.#start = start;
    this.slot = slot;
  }

  get here(): number {
    return this.#start + this.bytes.length;
  }

  raw(...bytes: readonly number[]): void {
    this.bytes.push(...bytes);
  }

  imm32(value: number): void {
    this.raw(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255);
  }

  /** `opcode ModRM(reg, %rip) disp32` for an address; `tail` bytes of immediate follow. */
  rip(opcode: readonly number[], reg: number, address: number, tail = 0): void {
    this.raw(...opcode, ((reg & 7) << 3) | 5);
    this.imm32(address - (this.here + 4 + tail));
  }

  /** `mov $imm32,%reg`, sign-extended to 64 bits. */
  movImm(reg: number, value: number): void {
    this.raw(0x48 | (reg >> 3), 0xc7, 0xc0 | (reg & 7));
    this.imm32(value);
  }

  /** Stores RFLAGS to the log; bits in `ignored` are not compared. */
  logFlags(ignored: number): void {
    if (this.log.length >= LOG_MAX) return;
    this.raw(0x9c);
    this.rip([0x8f], 0, this.slot + LOG + this.log.length * 8);
    this.log.push({ ignored });
  }

  chance(percent: number): boolean {
    return this.prng.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.prng.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  /** A register that is none of `not`, and not %rsp. */
  register(not: readonly number[] = [], max = 16): number {
    for (;;) {
      const reg = this.prng.below(max);
      if (reg !== 4 && !not.includes(reg)) return reg;
    }
  }
}
