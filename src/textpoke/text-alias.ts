import { type KernelText, memoryOf, segmentOf } from './kernel-text.ts';
import { assertHeld, type TextMutexHeld } from './text-mutex.ts';
import { fill, writeFrom } from './text-pages.ts';

/** The writable alias of text (poking_mm). For this room. With {@link fillText} the only way in which a byte of text changes. Writes bytes [from, to) of `bytes`. */
export function writeText(
  held: TextMutexHeld,
  text: KernelText,
  at: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): void {
  assertHeld(held);
  const memory = memoryOf(text);
  writeFrom(segmentOf(memory, at, to - from), at, bytes, from, to);
  memory.generation += 1;
}

/** text_poke_memset. */
export function fillText(held: TextMutexHeld, text: KernelText, at: number, length: number, byte: number): void {
  assertHeld(held);
  const memory = memoryOf(text);
  fill(segmentOf(memory, at, length), at, length, byte);
  memory.generation += 1;
}
