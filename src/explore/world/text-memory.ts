import { invariant } from '../../base/index.ts';
import type { FetchModelName, TextStore } from '../../cpu/index.ts';
import { VisibleText } from '../../cpu/index.ts';
import {
  type KernelText,
  type PokeVector,
  type PokeVectorEntry,
  putPokeVector,
  restoreText,
  snapshotText,
  type TextMutexHeld,
  type TextSnapshot,
  tryGetPokeVector,
} from '../../textpoke/index.ts';
import { buildText, type Layout } from '../scenario/layout.ts';

/** Number of one content of text and published vector. */
export type MemoryId = number;

interface Memory {
  readonly text: number;
  readonly vector: PokeVector;
  readonly snapshot: TextSnapshot;
}

/**
 * The one real KernelText of a scenario, moved between the states that a search is in. Whatever changes it is the code of textpoke; what is
 * remembered is which state follows which.
 */
export class TextMemory {
  readonly text: KernelText;
  readonly held: TextMutexHeld;
  readonly visible: VisibleText;
  readonly #tracked: readonly (readonly [number, number])[];
  readonly #memories: Memory[] = [];
  readonly #ids = new Map<string, MemoryId>();
  readonly #vectors = new WeakMap<readonly PokeVectorEntry[], string>();
  readonly #got: (MemoryId | null)[] = [];
  readonly #put: MemoryId[] = [];

  constructor(layout: Layout, held: TextMutexHeld, model: FetchModelName) {
    this.held = held;
    this.text = buildText(layout, held);
    this.#tracked = layout.changing;
    const base = new Map<number, number>();
    for (const { at, length } of layout.texts) for (let i = 0; i < length; i++) base.set(at + i, this.text.u8(at + i));
    this.visible = new VisibleText(model, (at) => base.get(at) ?? 0xcc);
    this.#capture(VisibleText.START);
  }

  /** The state in the beginning is number 0. */
  static readonly START: MemoryId = 0;

  textOf(memory: MemoryId): number {
    return this.#at(memory).text;
  }

  vectorOf(memory: MemoryId): PokeVector {
    return this.#at(memory).vector;
  }

  /** Makes the real text what it is in a state. */
  restore(memory: MemoryId): void {
    restoreText(this.held, this.text, this.#at(memory).snapshot);
  }

  /** After the real text has been changed from a state: the state it is in now, and what was stored. */
  changedFrom(memory: MemoryId): { readonly memory: MemoryId; readonly stores: readonly TextStore[] } {
    let text = this.textOf(memory);
    const stores = this.#storesSince(text);
    for (const store of stores) text = this.visible.storeText(text, store);
    return { memory: this.#capture(text), stores };
  }

  /** tryGetPokeVector; undefined when nothing is published. */
  get(memory: MemoryId): MemoryId | undefined {
    let next = this.#got[memory];
    if (next === undefined) {
      this.restore(memory);
      next = tryGetPokeVector(this.text) === undefined ? null : this.#capture(this.textOf(memory));
      this.#got[memory] = next;
    }
    return next ?? undefined;
  }

  /** putPokeVector. */
  put(memory: MemoryId): MemoryId {
    let next = this.#put[memory];
    if (next === undefined) {
      this.restore(memory);
      putPokeVector(this.text);
      next = this.#capture(this.textOf(memory));
      this.#put[memory] = next;
    }
    return next;
  }

  #at(memory: MemoryId): Memory {
    const found = this.#memories[memory];
    invariant(found !== undefined, () => `no memory ${memory}`);
    return found;
  }

  #storesSince(text: number): readonly TextStore[] {
    const changed = new Map<number, number>();
    for (const [start, end] of this.#tracked) {
      for (let at = start; at < end; at++) {
        const byte = this.text.u8(at);
        if (byte !== this.visible.byte(text, at)) changed.set(at, byte);
      }
    }
    const stores: { at: number; bytes: number[] }[] = [];
    for (const [at, byte] of [...changed].sort(([a], [b]) => a - b)) {
      const last = stores.at(-1);
      if (last !== undefined && last.at + last.bytes.length === at) last.bytes.push(byte);
      else stores.push({ at, bytes: [byte] });
    }
    return stores.map(({ at, bytes }) => ({ at, bytes: Uint8Array.from(bytes) }));
  }

  #capture(text: number): MemoryId {
    const vector = this.text.pokeVector;
    let entries = this.#vectors.get(vector.entries);
    if (entries === undefined) {
      entries = JSON.stringify(vector.entries);
      this.#vectors.set(vector.entries, entries);
    }
    // What a vector without references holds means nothing.
    const key = vector.refs === 0 ? `${text}` : `${text}/${vector.refs}/${entries}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const snapshot = snapshotText(this.held, this.text);
    this.#ids.set(key, this.#memories.length);
    return this.#memories.push({ text, vector, snapshot }) - 1;
  }
}
