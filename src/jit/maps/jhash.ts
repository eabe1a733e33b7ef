/**
 * Bob Jenkins' lookup3 as the kernel has it (include/linux/jhash.h): what hash tables and stack traces are sorted into buckets by. All sums are
 * modulo 2^32.
 */
const JHASH_INITVAL = 0xdead_beef;

const rotate = (value: number, count: number): number => (value << count) | (value >>> (32 - count));

type Words = [a: number, b: number, c: number];

function mix(w: Words): void {
  let [a, b, c] = w;
  a = (a - c) ^ rotate(c, 4);
  c = (c + b) | 0;
  b = (b - a) ^ rotate(a, 6);
  a = (a + c) | 0;
  c = (c - b) ^ rotate(b, 8);
  b = (b + a) | 0;
  a = (a - c) ^ rotate(c, 16);
  c = (c + b) | 0;
  b = (b - a) ^ rotate(a, 19);
  a = (a + c) | 0;
  c = (c - b) ^ rotate(b, 4);
  b = (b + a) | 0;
  w[0] = a;
  w[1] = b;
  w[2] = c;
}

function final([a, b, c]: Words): number {
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c >>> 0;
}

/** jhash; jhash2, which takes words, gives the same for the same bytes. */
export function jhash(key: Uint8Array, initval = 0): number {
  const start = (JHASH_INITVAL + key.length + initval) | 0;
  const words: Words = [start, start, start];
  const padded = new DataView(new ArrayBuffer(Math.max(12, Math.ceil(key.length / 12) * 12)));
  new Uint8Array(padded.buffer).set(key);
  let at = 0;
  for (let left = key.length; left > 12; left -= 12, at += 12) {
    add(words, padded, at);
    mix(words);
  }
  if (key.length === 0) return words[2] >>> 0;
  add(words, padded, at);
  return final(words);
}

function add(words: Words, view: DataView, at: number): void {
  words[0] = (words[0] + view.getUint32(at, true)) | 0;
  words[1] = (words[1] + view.getUint32(at + 4, true)) | 0;
  words[2] = (words[2] + view.getUint32(at + 8, true)) | 0;
}
