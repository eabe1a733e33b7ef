/**
 * Grows a run of machine code a few bytes at a time. A class with plain fields, unlike the emitter of trampolines: a program's every
 * instruction passes through here several times, and this is what the engine turns into the fastest code.
 */
export class CodeBuffer {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Makes sure that `more` bytes can follow; the put methods rely on it. */
  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.bytes);
    this.bytes = grown;
  }

  put1(a: number): void {
    this.bytes[this.length] = a;
    this.length += 1;
  }

  put2(a: number, b: number): void {
    const { bytes, length } = this;
    bytes[length] = a;
    bytes[length + 1] = b;
    this.length = length + 2;
  }

  put3(a: number, b: number, c: number): void {
    const { bytes, length } = this;
    bytes[length] = a;
    bytes[length + 1] = b;
    bytes[length + 2] = c;
    this.length = length + 3;
  }

  put4(a: number, b: number, c: number, d: number): void {
    const { bytes, length } = this;
    bytes[length] = a;
    bytes[length + 1] = b;
    bytes[length + 2] = c;
    bytes[length + 3] = d;
    this.length = length + 4;
  }

  /** 32 bits, little-endian. */
  put32(value: number): void {
    this.put4(value, value >> 8, value >> 16, value >> 24);
  }
}
