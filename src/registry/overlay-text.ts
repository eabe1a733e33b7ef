import { invariant, type ReadableText } from '../base/index.ts';
import { type TextOp, writesOf } from './text-op.ts';

/** Text as it would be after some ops, over text that stays as it is: decisions and plans read through it. */
export class OverlayText implements ReadableText {
  readonly #below: ReadableText;
  readonly #changed = new Map<number, number>();

  constructor(below: ReadableText) {
    this.#below = below;
  }

  contains(offset: number, length: number): boolean {
    return this.#below.contains(offset, length);
  }

  u8(offset: number): number {
    return this.#changed.get(offset) ?? this.#below.u8(offset);
  }

  bytes(offset: number, length: number): Uint8Array {
    const bytes = this.#below.bytes(offset, length);
    if (this.#changed.size === 0) return bytes;
    for (let i = 0; i < length; i++) {
      const changed = this.#changed.get(offset + i);
      if (changed !== undefined) bytes[i] = changed;
    }
    return bytes;
  }

  apply(op: TextOp): void {
    for (const [at, bytes] of writesOf(op)) this.#write(at, bytes);
  }

  #write(at: number, bytes: Uint8Array): void {
    invariant(this.#below.contains(at, bytes.length), () => `op outside text at _text+0x${at.toString(16)}`);
    for (let i = 0; i < bytes.length; i++) this.#changed.set(at + i, bytes[i] as number);
  }
}
