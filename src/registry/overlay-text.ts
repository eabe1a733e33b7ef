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
    for (const [at, bytes] of writesOf(op)) this.write(at, bytes);
  }

  /** What was written, as runs, ascending; some of their bytes may be what they were. */
  changedRanges(): readonly { readonly at: number; readonly length: number }[] {
    const runs: { at: number; length: number }[] = [];
    for (const at of [...this.#changed.keys()].sort((a, b) => a - b)) {
      const last = runs.at(-1);
      if (last !== undefined && last.at + last.length === at) last.length += 1;
      else runs.push({ at, length: 1 });
    }
    return runs;
  }

  write(at: number, bytes: Uint8Array): void {
    invariant(this.#below.contains(at, bytes.length), () => `op outside text at _text+0x${at.toString(16)}`);
    for (let i = 0; i < bytes.length; i++) this.#changed.set(at + i, bytes[i] as number);
  }
}
