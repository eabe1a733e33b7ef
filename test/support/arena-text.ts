import type { ReadableText } from '../../src/base/index.ts';
import type { World } from '../../src/registry/index.ts';
import { ARENA_END, ARENA_START } from '../../src/textpoke/index.ts';

/** Pristine text, and an arena full of int3 behind it. */
export function withArena(world: World): ReadableText {
  const { pristine, image } = world;
  const start = Number(ARENA_START - image.base);
  const end = Number(ARENA_END - image.base);
  const isArena = (offset: number, length: number): boolean => offset >= start && offset + length <= end;
  return {
    contains: (offset, length) => pristine.contains(offset, length) || isArena(offset, length),
    u8: (offset) => (isArena(offset, 1) ? 0xcc : pristine.u8(offset)),
    bytes: (offset, length) =>
      isArena(offset, length) ? new Uint8Array(length).fill(0xcc) : pristine.bytes(offset, length),
  };
}
