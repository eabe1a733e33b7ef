import type { BootText } from './boot-text.ts';

/** Up to `max` bytes from `offset`, fewer at the end of a range; undefined outside of executable memory. */
export function bytesAround(text: BootText, offset: number, max: number): Uint8Array | undefined {
  for (let length = max; length > 0; length--) if (text.has(offset, length)) return text.view(offset, length);
  return undefined;
}
