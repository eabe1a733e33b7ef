import { toHex } from '../../base/index.ts';
import { assemble, resolvePlace, sweep } from '../scenario/assemble.ts';
import { codeAt, type Layout } from '../scenario/layout.ts';
import type { Op, PokeSpec, Scenario } from '../scenario/scenario.ts';

/**
 * Instructions that somebody meant to stand somewhere: those of the text as it begins, and of each poke's new bytes, at the places where one begins
 * when the text is read from the poke's start. A CPU that decodes anything else at such a place has put together what nobody wrote.
 */
export class Intended {
  readonly #byPlace = new Map<number, Set<string>>();
  readonly #regions: readonly (readonly [number, number])[];

  constructor(layout: Layout, scenario: Scenario) {
    const pokes = scenario.patchers.flatMap(({ do: ops }) => ops.flatMap(pokesOf));
    this.#regions = pokes.map((poke) => {
      const at = resolvePlace(layout.places, poke.at);
      const bytes = assemble(poke.to, at, layout.places);
      const from = poke.from === undefined ? [] : [assemble(poke.from, at, layout.places)];
      for (const content of [codeAt(layout, at, bytes.length), ...from, bytes]) this.#add(content, at);
      return [at, at + bytes.length] as const;
    });
  }

  /** True when the instruction may be what a CPU finds at a place. */
  allows(at: number, insn: Uint8Array): boolean {
    const region = this.#regions.find(([start, end]) => at >= start && at < end);
    if (region === undefined) return true;
    // The protocol's int3, or a kprobe's: over the first byte of an instruction.
    if (insn.length === 1 && insn[0] === 0xcc && this.#byPlace.has(at)) return true;
    return this.#byPlace.get(at)?.has(toHex(insn)) === true;
  }

  #add(bytes: Uint8Array, at: number): void {
    for (const insn of sweep(bytes, at)) {
      const known = this.#byPlace.get(insn.at) ?? new Set();
      this.#byPlace.set(insn.at, known.add(toHex(insn.bytes)));
    }
  }
}

function pokesOf(op: Op): readonly PokeSpec[] {
  if (op.op === 'poke') return op.pokes;
  return op.op === 'queue' ? [op] : [];
}
