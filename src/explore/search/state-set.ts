const NONE = -1;

/**
 * The states seen so far, numbered in the order in which they came, with the step and the state that led to each. Whole states are kept and
 * compared, not fingerprints: two states are never taken for one. About 4·(width + 4) bytes a state.
 */
export class StateSet {
  readonly width: number;
  #words: Int32Array;
  #parents: Int32Array;
  #steps: Int32Array;
  /** Open addressing: numbers of states, or NONE. */
  #table: Int32Array;
  #size = 0;

  constructor(width: number, capacity = 1024) {
    this.width = width;
    this.#words = new Int32Array(width * capacity);
    this.#parents = new Int32Array(capacity);
    this.#steps = new Int32Array(capacity);
    this.#table = new Int32Array(capacity * 2).fill(NONE);
  }

  get size(): number {
    return this.#size;
  }

  /** The number of a state that was not there, else the complement (~) of the number it has. */
  add(state: Int32Array, parent: number, step: number): number {
    const mask = this.#table.length - 1;
    let slot = hash(state, this.width) & mask;
    for (;;) {
      const number = this.#table[slot] ?? NONE;
      if (number === NONE) break;
      if (this.#equals(number, state)) return ~number;
      slot = (slot + 1) & mask;
    }
    if ((this.#size + 1) * 2 > this.#table.length) {
      this.#grow();
      return this.add(state, parent, step);
    }
    const number = this.#size++;
    this.#table[slot] = number;
    const at = number * this.width;
    for (let i = 0; i < this.width; i++) this.#words[at + i] = state[i] ?? 0;
    this.#parents[number] = parent;
    this.#steps[number] = step;
    return number;
  }

  read(number: number, into: Int32Array): void {
    const at = number * this.width;
    for (let i = 0; i < this.width; i++) into[i] = this.#words[at + i] ?? 0;
  }

  /** The state's predecessor, -1 for the first. */
  parent(number: number): number {
    return this.#parents[number] ?? NONE;
  }

  step(number: number): number {
    return this.#steps[number] ?? 0;
  }

  /** How each state was come to, in the order of their numbers. */
  save(): { readonly parents: Int32Array; readonly steps: Int32Array } {
    return { parents: this.#parents.slice(0, this.#size), steps: this.#steps.slice(0, this.#size) };
  }

  #equals(number: number, state: Int32Array): boolean {
    const at = number * this.width;
    for (let i = 0; i < this.width; i++) if (this.#words[at + i] !== state[i]) return false;
    return true;
  }

  #grow(): void {
    const capacity = this.#table.length;
    const enlarge = (old: Int32Array, length: number): Int32Array => {
      const larger = new Int32Array(length);
      larger.set(old);
      return larger;
    };
    this.#words = enlarge(this.#words, capacity * this.width);
    this.#parents = enlarge(this.#parents, capacity);
    this.#steps = enlarge(this.#steps, capacity);
    const table = new Int32Array(capacity * 2).fill(NONE);
    const mask = table.length - 1;
    const state = new Int32Array(this.width);
    for (let number = 0; number < this.#size; number++) {
      this.read(number, state);
      let slot = hash(state, this.width) & mask;
      while (table[slot] !== NONE) slot = (slot + 1) & mask;
      table[slot] = number;
    }
    this.#table = table;
  }
}

/** murmur3's mixing, a word at a time. */
function hash(state: Int32Array, width: number): number {
  let h = width;
  for (let i = 0; i < width; i++) {
    let k = Math.imul(state[i] ?? 0, 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    h ^= k;
    h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
