import type { ReadableText } from '../base/index.ts';

/** How text differs from pristine text, packed so that a thread is sent two arrays and not a hundred thousand objects. */
export interface TextDelta {
  /** Offset from `_text` and length of each run, in turn, ascending. */
  readonly runs: Uint32Array;
  /** The bytes of all runs, one after the other. */
  readonly bytes: Uint8Array;
}

export const NO_DELTA: TextDelta = Object.freeze({ runs: new Uint32Array(0), bytes: new Uint8Array(0) });

/** Packs the runs `[at, at + length)` of a text. */
export function textDelta(
  text: Pick<ReadableText, 'bytes'>,
  changed: readonly { readonly at: number; readonly length: number }[],
): TextDelta {
  const runs = new Uint32Array(changed.length * 2);
  const bytes = new Uint8Array(changed.reduce((sum, { length }) => sum + length, 0));
  let used = 0;
  for (const [i, { at, length }] of changed.entries()) {
    runs[i * 2] = at;
    runs[i * 2 + 1] = length;
    bytes.set(text.bytes(at, length), used);
    used += length;
  }
  return { runs, bytes };
}

export const sameDelta = (a: TextDelta, b: TextDelta): boolean =>
  a === b ||
  (a.runs.length === b.runs.length &&
    a.bytes.length === b.bytes.length &&
    a.runs.every((value, i) => b.runs[i] === value) &&
    Buffer.compare(a.bytes, b.bytes) === 0);
