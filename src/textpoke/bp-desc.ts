import { invariant } from '../base/index.ts';
import { type KernelText, memoryOf } from './kernel-text.ts';
import type { PokeVector, PokeVectorEntry } from './poke-vector.ts';
import { assertHeld, type TextMutexHeld } from './text-mutex.ts';

/** Sets `bp_desc`: entries ascending, one reference. */
export function publishVector(held: TextMutexHeld, text: KernelText, entries: readonly PokeVectorEntry[]): void {
  assertHeld(held);
  const memory = memoryOf(text);
  invariant(memory.vector.refs === 0, 'a poke vector is still published: an earlier poke was not run to its end');
  memory.vector = Object.freeze({ entries, refs: 1 });
}

/** atomic_dec of `bp_desc.refs`; the number of readers that remain. */
export function putPokeVector(text: KernelText): number {
  const memory = memoryOf(text);
  const { entries, refs } = memory.vector;
  invariant(refs > 0, 'dropping a reference to a poke vector that nobody holds');
  memory.vector = Object.freeze({ entries, refs: refs - 1 });
  return refs - 1;
}

/** raw_atomic_inc_not_zero of `bp_desc.refs`: the vector, or undefined when none is published. */
export function tryGetPokeVector(text: KernelText): PokeVector | undefined {
  const memory = memoryOf(text);
  const { entries, refs } = memory.vector;
  if (refs === 0) return undefined;
  memory.vector = Object.freeze({ entries, refs: refs + 1 });
  return memory.vector;
}
