import assert from 'node:assert/strict';
import { type KernelAddress, kernelAddress, ManualClock, type TextOffset, textOffset } from '../../src/base/index.ts';
import {
  KernelText,
  type PokeAuthor,
  type PokeEntry,
  type PokeMachine,
  type PokePhase,
  TextMutex,
  type TextMutexHeld,
} from '../../src/textpoke/index.ts';

export const BASE: KernelAddress = kernelAddress(0xffff_ffff_8100_0000n);
export const BY: PokeAuthor = { client: 'test', attachment: 'att_1', kind: 'ftrace', reason: 'attach' };

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** Text that is one range at offset 0. */
export function textOf(bytes: Uint8Array, clock = new ManualClock()): KernelText {
  return new KernelText({ base: BASE, clock, ranges: [{ name: '.text', start: textOffset(0), bytes }] });
}

/** Runs a body under a text_mutex of its own. */
export async function underMutex<T>(body: (held: TextMutexHeld) => T | Promise<T>): Promise<T> {
  const mutex = new TextMutex({ clock: new ManualClock() });
  const result = await mutex.run({ client: 'test', what: 'test' }, body);
  assert.ok(result.ok);
  return result.value;
}

export interface CountingMachine extends PokeMachine {
  readonly syncs: number;
}

export function countingMachine(): CountingMachine {
  let syncs = 0;
  return {
    get syncs() {
      return syncs;
    },
    syncCores: () => {
      syncs++;
    },
  };
}

export function entry(at: number, expected: string, bytes: string, emulate?: string): PokeEntry {
  const poke = { at: textOffset(at) as TextOffset, expected: hex(expected), bytes: hex(bytes), by: BY };
  return emulate === undefined ? poke : { ...poke, emulate: hex(emulate) };
}

/** A phase in one word: `int3:0`, `sync:tail`, `unpublish:0`. */
export function brief(phase: PokePhase): string {
  switch (phase.kind) {
    case 'publish':
      return `publish:${phase.entries}`;
    case 'int3':
    case 'tail':
    case 'first':
      return `${phase.kind}:${phase.entry}`;
    case 'poke':
      return `poke@${phase.at}`;
    case 'sync':
      return `sync:${phase.after}`;
    case 'unpublish':
      return `unpublish:${phase.refs}`;
    case 'done':
      return `done:${phase.summary.pokes}/${phase.summary.batches}/${phase.summary.syncRounds}`;
  }
}

/** Steps to the end; `visit` sees the text after each phase. */
export function collect<T>(
  phases: Generator<PokePhase, T, undefined>,
  visit: (phase: PokePhase) => string = brief,
): { readonly trace: readonly string[]; readonly value: T } {
  const trace: string[] = [];
  for (let step = phases.next(); ; step = phases.next()) {
    if (step.done === true) return { trace, value: step.value };
    trace.push(visit(step.value));
  }
}
