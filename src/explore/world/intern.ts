import { invariant } from '../../base/index.ts';

/** Numbers values by what they are, so that states are a few words and equal parts are equal numbers. */
export class Interner<T> {
  readonly #ids = new Map<string, number>();
  readonly #values: T[] = [];
  readonly #keyOf: (value: T) => string;

  /** @param keyOf equal exactly for values that mean the same */
  constructor(keyOf: (value: T) => string = JSON.stringify) {
    this.#keyOf = keyOf;
  }

  id(value: T): number {
    const key = this.#keyOf(value);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#ids.set(key, this.#values.length);
    return this.#values.push(value) - 1;
  }

  get(id: number): T {
    const value = this.#values[id];
    invariant(value !== undefined, () => `no value ${id}`);
    return value;
  }

  get size(): number {
    return this.#values.length;
  }
}

/** 53 bits of a text, the same wherever they are worked out (FNV-1a, twice). */
export function hash53(text: string): number {
  let high = 0x811c9dc5;
  let low = 0xc9dc5118;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 0x01000193);
    low = Math.imul(low ^ code, 0x01000197);
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0);
}
