import { Map as ImmutableMap } from 'immutable';
import type { ReadableText } from '../base/index.ts';
import { type TextOp, writesOf } from '../registry/index.ts';

const LINE_BITS = 6;
const LINE = 1 << LINE_BITS;

type Lines = ImmutableMap<number, Uint8Array>;

/** A line of the text below; bytes outside of it read as 0 and are never asked for. */
function lineOf(below: ReadableText, index: number): Uint8Array {
  const start = index * LINE;
  if (below.contains(start, LINE)) return below.bytes(start, LINE).slice();
  const line = new Uint8Array(LINE);
  for (let i = 0; i < LINE; i++) if (below.contains(start + i, 1)) line[i] = below.u8(start + i);
  return line;
}

/**
 * Text as it would be after some ops, as a value: carrying ops out makes another text and leaves this one as it was. Forking costs nothing
 * and reading costs the same after ten thousand steps as after one, which a chain of overlays cannot say. The text below must stay as it
 * is while this one is read.
 */
export class ForkText implements ReadableText {
  readonly #below: ReadableText;
  readonly #lines: Lines;

  private constructor(below: ReadableText, lines: Lines) {
    this.#below = below;
    this.#lines = lines;
  }

  static over(below: ReadableText): ForkText {
    return new ForkText(below, ImmutableMap());
  }

  contains(offset: number, length: number): boolean {
    return this.#below.contains(offset, length);
  }

  u8(offset: number): number {
    return this.#lines.get(offset >>> LINE_BITS)?.[offset & (LINE - 1)] ?? this.#below.u8(offset);
  }

  bytes(offset: number, length: number): Uint8Array {
    const bytes = this.#below.bytes(offset, length);
    if (this.#lines.size === 0) return bytes;
    for (let index = offset >>> LINE_BITS; index * LINE < offset + length; index++) {
      const line = this.#lines.get(index);
      if (line === undefined) continue;
      const start = Math.max(offset, index * LINE);
      const end = Math.min(offset + length, (index + 1) * LINE);
      bytes.set(line.subarray(start - index * LINE, end - index * LINE), start - offset);
    }
    return bytes;
  }

  after(ops: readonly TextOp[]): ForkText {
    if (ops.length === 0) return this;
    const lines = this.#lines.asMutable();
    const fresh = new Set<number>();
    for (const op of ops)
      for (const [at, bytes] of writesOf(op))
        for (const [i, byte] of bytes.entries()) {
          const index = (at + i) >>> LINE_BITS;
          if (!fresh.has(index)) {
            lines.set(index, lines.get(index)?.slice() ?? lineOf(this.#below, index));
            fresh.add(index);
          }
          (lines.get(index) as Uint8Array)[(at + i) & (LINE - 1)] = byte;
        }
    return new ForkText(this.#below, lines.asImmutable());
  }

  /** What is not what the text below has, in runs that begin at multiples of 64; some of their bytes may be the same. */
  changedRanges(): readonly { readonly at: number; readonly length: number }[] {
    return [...this.#lines.keys()].sort((a, b) => a - b).map((index) => ({ at: index * LINE, length: LINE }));
  }

  /** How many bytes are not what the text below has. */
  differing(): number {
    let count = 0;
    for (const [index, line] of this.#lines)
      for (const [i, byte] of lineOf(this.#below, index).entries()) if (line[i] !== byte) count += 1;
    return count;
  }
}
