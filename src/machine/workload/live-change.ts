import { type Clock, invariant, type KernelAddress } from '../../base/index.ts';
import type { Cpu } from '../../cpu/index.ts';
import {
  KernelText,
  type PokeEntry,
  type PokePhase,
  type PokePhases,
  type PokeVector,
  type TextMutexHeld,
  TP_VEC_MAX,
  textPokeBpBatch,
} from '../../textpoke/index.ts';
import type { MachineText } from '../machine-text.ts';
import type { TextChange } from './text-change.ts';

const NO_VECTOR: PokeVector = { refs: 0, entries: [] };

export interface LiveMachine {
  readonly base: KernelAddress;
  readonly text: MachineText;
  readonly cpus: readonly Cpu[];
  readonly clock: Clock;
  readonly held: TextMutexHeld;
}

/** Writes that are done one at a time while CPUs run in between. */
export interface LiveWriter {
  /** What int3 handlers see. */
  readonly vector: PokeVector;
  readonly isOver: boolean;
  /** One write, or one sync. */
  step(): void;
}

/**
 * The writes of a change, one at a time, while CPUs run in between:
 *   1. Generated code is installed; nobody knows it.
 *   2. Breakpoints are armed and disarmed, a single store and a sync each.
 *   3. Live instructions are poked in batches, by the protocol that wrote them in the kernel.
 * What nobody enters any more is taken away later, by whoever knows that nobody is in it.
 */
export class LiveChange implements LiveWriter {
  readonly #machine: LiveMachine;
  readonly #steps: Generator<undefined, void>;
  #vector: () => PokeVector = () => NO_VECTOR;
  isOver = false;

  constructor(machine: LiveMachine, change: TextChange) {
    this.#machine = machine;
    this.#steps = this.#run(change);
  }

  get vector(): PokeVector {
    return this.#vector();
  }

  step(): void {
    this.isOver = this.#steps.next().done === true;
  }

  /** do_sync_core on every CPU. */
  #sync(): void {
    for (const cpu of this.#machine.cpus) cpu.serialise('ipi');
  }

  *#run({ installs, singles, pokes }: TextChange): Generator<undefined, void> {
    const { text } = this.#machine;
    for (const { at, bytes } of installs) text.write(at, bytes);
    yield;
    for (const { at, bytes } of singles) {
      text.write(at, bytes);
      yield;
      this.#sync();
    }
    for (let from = 0; from < pokes.length; from += TP_VEC_MAX)
      yield* this.#batch(pokes.slice(from, from + TP_VEC_MAX));
  }

  /** The generator writes into a text of its own that has the poked instructions and nothing else; what it writes is shown to the CPUs. */
  *#batch(entries: readonly PokeEntry[]): Generator<undefined, void> {
    const { base, held, clock } = this.#machine;
    const ranges = entries.map(({ at, expected }) => ({ name: 'poked', start: at, bytes: expected }));
    const shadow = new KernelText({ base, ranges, clock });
    this.#vector = () => shadow.pokeVector;
    const phases: PokePhases = textPokeBpBatch(held, shadow, entries);
    for (let step = phases.next(); ; step = phases.next()) {
      if (step.done === true) {
        invariant(step.value.ok, 'the poked instructions are what they were');
        break;
      }
      this.#show(step.value, entries, shadow);
      yield;
    }
    this.#vector = () => NO_VECTOR;
  }

  #show(phase: PokePhase, entries: readonly PokeEntry[], shadow: KernelText): void {
    switch (phase.kind) {
      case 'sync':
        this.#sync();
        return;
      case 'int3':
      case 'tail':
      case 'first': {
        const length = entries[phase.entry]?.bytes.length ?? 0;
        this.#machine.text.write(phase.at, shadow.bytes(phase.at, length));
      }
    }
  }
}
