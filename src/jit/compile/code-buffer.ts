/**
 * Grows a run of machine code a few bytes at a time. A class with plain fields, unlike the emitter of trampolines: a program's every
 * instruction passes through here several times, and this is what the engine turns into the fastest code.
 */
export class CodeBuffer {
  bytes: Uint8Array;
  length = 0;
  view: DataView;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes sure that `more` bytes can follow; the put methods rely on it. They may write, and take back, up to three bytes beyond their own. */
  reserve(more: number): void {
    if (this.length + more + 3 <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more + 3));
    grown.set(this.bytes);
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** The low `size` bytes of `word`, 0 to 4, the lowest first. */
  put(word: number, size: number): void {
    const { length } = this;
    this.view.setInt32(length, word, true);
    this.length = length + size;
  }

  /** The same, where the lowest byte is a REX prefix (0x40 or more): one that says nothing is left out. */
  putRexed(word: number, size: number): void {
    // 1 for 0x40, else 0, without a branch, which would be one that no CPU foresees.
    const isPlain = ((word & 0xff) - PLAIN_REX - 1) >>> 31;
    this.put(word >>> (isPlain << 3), size - isPlain);
  }

  put1(a: number): void {
    this.put(a, 1);
  }

  put2(a: number, b: number): void {
    this.put((a & 0xff) | (b << 8), 2);
  }

  put3(a: number, b: number, c: number): void {
    this.put((a & 0xff) | ((b & 0xff) << 8) | (c << 16), 3);
  }

  put4(a: number, b: number, c: number, d: number): void {
    this.put((a & 0xff) | ((b & 0xff) << 8) | ((c & 0xff) << 16) | (d << 24), 4);
  }

  /** 32 bits, little-endian. */
  put32(value: number): void {
    this.put(value, 4);
  }
}

/** A REX prefix with none of its four bits. */
const PLAIN_REX = 0x40;
