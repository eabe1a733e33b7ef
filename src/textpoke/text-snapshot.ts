import { invariant } from '../base/index.ts';
import { type KernelText, memoryOf } from './kernel-text.ts';
import { type PokeVector, UNPUBLISHED } from './poke-vector.ts';
import { writeText } from './text-alias.ts';
import { assertHeld, type TextMutexHeld } from './text-mutex.ts';

/** Text and published vector at one moment, for {@link restoreText}. Holds the pages that differ from pristine. */
export interface TextSnapshot {
  readonly kind: 'text-snapshot';
}

interface SnapshotData {
  readonly text: KernelText;
  readonly pages: readonly ReadonlyMap<number, Uint8Array>[];
  readonly vector: PokeVector;
}

const SNAPSHOTS = new WeakMap<TextSnapshot, SnapshotData>();

/**
 * Remembers text and published vector. For re-running a prefix, not for owners: neither this nor going back is a poke, so nothing lands in
 * the history and no CPU is synced. Costs a copy of every page that differs from pristine.
 */
export function snapshotText(held: TextMutexHeld, text: KernelText): TextSnapshot {
  assertHeld(held);
  const { segments, vector } = memoryOf(text);
  const pages = segments.map((s) => new Map([...s.dirty].map(([page, bytes]) => [page, bytes.slice()])));
  const snapshot: TextSnapshot = Object.freeze({ kind: 'text-snapshot' });
  SNAPSHOTS.set(snapshot, { text, pages, vector });
  return snapshot;
}

/** Back to a snapshot of this text; it can be used again. */
export function restoreText(held: TextMutexHeld, text: KernelText, snapshot: TextSnapshot): void {
  assertHeld(held);
  const data = SNAPSHOTS.get(snapshot);
  invariant(data !== undefined && data.text === text, 'a snapshot of another text');
  const memory = memoryOf(text);
  for (const [i, segment] of memory.segments.entries()) {
    segment.dirty.clear();
    for (const [page, bytes] of data.pages[i] ?? []) segment.dirty.set(page, bytes.slice());
  }
  memory.vector = data.vector;
  memory.generation += 1;
}

/** Back to pristine text, with no vector published, at the cost of forgetting the written pages. As {@link restoreText}, not a poke. */
export function resetText(held: TextMutexHeld, text: KernelText): void {
  assertHeld(held);
  const memory = memoryOf(text);
  for (const segment of memory.segments) segment.dirty.clear();
  memory.vector = UNPUBLISHED;
  memory.generation += 1;
}

/**
 * Puts bytes over pristine text and fills the rest with it: the text of an earlier run, before anybody uses this one. As {@link restoreText},
 * not a poke.
 */
export function loadText(
  held: TextMutexHeld,
  text: KernelText,
  runs: Iterable<{ readonly at: number; readonly bytes: Uint8Array }>,
): void {
  resetText(held, text);
  for (const { at, bytes } of runs) writeText(held, text, at, bytes, 0, bytes.length);
}
