import type { AddressSpace } from '../address-space.ts';
import type { Cpu } from '../cpu.ts';
import { FETCH_MAX, type InstructionFetch } from '../instruction-fetch.ts';
import { highWord, lowWord } from '../wide.ts';
import type { FetchModelName } from './fetch-model.ts';
import { type TextId, type ViewId, VisibleText } from './visible-text.ts';

export interface StaleFetchOptions {
  readonly space: AddressSpace;
  readonly model: FetchModelName;
  /** Address of place 0 of the text that changes; [start, start + length) lies within 4 GiB and is mapped. What is outside is never stale. */
  readonly start: bigint;
  readonly length: number;
  /** Which of several instructions the CPU decodes, 0 being the one that stands there now. */
  readonly choose: (cpu: Cpu, alternatives: number) => number;
}

/**
 * The fetch model for CPUs that run: gives every instruction of {@link VisibleText} a CPU may have fetched, one of them at a time, as whoever drives the
 * CPUs chooses. Whoever changes the text tells of it by {@link stored}, after memory has it.
 */
export class StaleFetch implements InstructionFetch {
  readonly #space: AddressSpace;
  readonly #high: number;
  readonly #low: number;
  readonly #end: number;
  readonly #choose: StaleFetchOptions['choose'];
  readonly #visible: VisibleText;
  /** What a place held before it was first stored to. */
  readonly #before = new Map<number, number>();
  /** By number of the CPU; undefined for one that has not fetched since the text first changed. */
  readonly #views: (ViewId | undefined)[] = [];
  readonly #one = new Uint8Array(1);
  #text: TextId = VisibleText.START;

  constructor({ space, model, start, length, choose }: StaleFetchOptions) {
    this.#space = space;
    this.#high = highWord(start);
    this.#low = lowWord(start);
    this.#end = length - FETCH_MAX;
    this.#choose = choose;
    this.#visible = new VisibleText(model, (at) => this.#before.get(at) ?? this.#byteNow(at));
  }

  /** Bytes at a place were `before` and are `after`, stored as {@link TextStore} has it. Every CPU but the one that stored them may be behind. */
  stored(at: number, before: Uint8Array, after: Uint8Array, isSingle = false): void {
    for (const [i, byte] of before.entries()) if (!this.#before.has(at + i)) this.#before.set(at + i, byte);
    const store = { at, bytes: after, isSingle };
    const old = this.#visible.fresh(this.#text);
    this.#text = this.#visible.storeText(this.#text, store);
    for (const [number, view] of this.#views.entries()) this.#views[number] = this.#visible.store(view ?? old, store);
  }

  fetch(cpu: Cpu, high: number, low: number, out: Uint8Array): number {
    const view = this.#viewOf(cpu);
    const at = (low - this.#low) >>> 0;
    if (high !== this.#high || at > this.#end || this.#visible.isFresh(view)) return this.#space.fetch(high, low, out);
    const instructions = this.#visible.fetch(view, at);
    const index = instructions.length === 1 ? 0 : this.#choose(cpu, instructions.length);
    const instruction = instructions[index] ?? instructions[0];
    if (instruction === undefined) return 0;
    out.set(instruction);
    return instruction.length;
  }

  serialised({ number }: Cpu): void {
    this.#views[number] = this.#visible.fresh(this.#text);
  }

  #viewOf({ number }: Cpu): ViewId {
    const view = this.#views[number] ?? this.#visible.fresh(this.#text);
    this.#views[number] = view;
    return view;
  }

  #byteNow(at: number): number {
    return this.#space.fetch(this.#high, (this.#low + at) | 0, this.#one) === 1 ? (this.#one[0] ?? 0) : 0xcc;
  }
}
