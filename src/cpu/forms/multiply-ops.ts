/** Products and quotients of 64 bits and more, on words. */

const WORD = 0x1_0000_0000;

/** High word of the unsigned product of two words; the low one is `Math.imul`. */
export function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (cross >>> 16)) | 0;
}

/** Words 2 and 3 (the high half) of the unsigned 128-bit product, as [low, high]. */
export function multiplyWideHigh(aLow: number, aHigh: number, bLow: number, bHigh: number): readonly [number, number] {
  const u = (word: number): number => word >>> 0;
  const second = u(multiplyHigh(aLow, bLow)) + u(Math.imul(aLow, bHigh)) + u(Math.imul(aHigh, bLow));
  const third =
    u(multiplyHigh(aLow, bHigh)) +
    u(multiplyHigh(aHigh, bLow)) +
    u(Math.imul(aHigh, bHigh)) +
    Math.floor(second / WORD);
  const fourth = multiplyHigh(aHigh, bHigh) + Math.floor(third / WORD);
  return [third | 0, fourth | 0];
}

/** High word of the low half of a 128-bit product; the low word is `Math.imul(aLow, bLow)`. */
export const multiplyWideMiddle = (aLow: number, aHigh: number, bLow: number, bHigh: number): number =>
  (multiplyHigh(aLow, bLow) + Math.imul(aLow, bHigh) + Math.imul(aHigh, bLow)) | 0;

/** From the high half of the unsigned product to that of the signed one: each negative factor subtracts the other. */
export function signedHigh(
  high: readonly [number, number],
  aLow: number,
  aHigh: number,
  bLow: number,
  bHigh: number,
): readonly [number, number] {
  let [low, top] = high;
  const subtract = (sLow: number, sHigh: number): void => {
    const difference = (low - sLow) | 0;
    top = (top - sHigh - (low >>> 0 < sLow >>> 0 ? 1 : 0)) | 0;
    low = difference;
  };
  if (aHigh < 0) subtract(bLow, bHigh);
  if (bHigh < 0) subtract(aLow, aHigh);
  return [low, top];
}
