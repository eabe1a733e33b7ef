const STAR = 0x2a;
const QUESTION = 0x3f;

/** Patterns are names with holes: none is longer than a name can be (KSYM_NAME_LEN). */
export const PATTERN_MAX = 512;

/**
 * True when bytes[start, end) match a pattern of `*` (any run) and `?` (one character), both latin1. Goes back to the last star only, so
 * time is bounded by the product of the lengths however many stars there are.
 */
export function globMatches(pattern: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  let p = 0;
  let star = -1;
  let starAt = start;
  while (at < end) {
    const wanted = pattern[p];
    if (wanted === STAR) {
      star = p++;
      starAt = at;
    } else if (wanted === QUESTION || (wanted !== undefined && wanted === bytes[at])) {
      p++;
      at++;
    } else if (star >= 0) {
      p = star + 1;
      at = ++starAt;
    } else return false;
  }
  while (pattern[p] === STAR) p++;
  return p === pattern.length;
}
