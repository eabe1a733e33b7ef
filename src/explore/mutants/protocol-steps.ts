import { textOffset } from '../../base/index.ts';
import {
  type KernelText,
  type PokeEntry,
  type PokePhase,
  type PokePhases,
  type TextMutexHeld,
  textPoke,
  textPokeBpBatch,
} from '../../textpoke/index.ts';
import { AUTHOR } from '../scenario/layout.ts';
import type { BatchContext, Mutation } from '../world/mutation.ts';

/** textPokeBpBatch without the sync after one of its three writes. */
export const withoutSync = (after: 'int3' | 'tail' | 'first'): Mutation => ({
  *batch({ held, text, entries }: BatchContext): PokePhases {
    const phases = textPokeBpBatch(held, text, entries);
    for (;;) {
      const step = phases.next();
      if (step.done === true) return step.value;
      if (step.value.kind === 'sync' && step.value.after === after) continue;
      yield step.value;
    }
  },
});

/** textPokeBpBatch with something written before its time: right after a phase that `when` names. */
const withEarlyStore = (
  when: (phase: PokePhase) => boolean,
  store: (context: BatchContext) => readonly PokePhase[],
): Mutation => ({
  *batch(context: BatchContext): PokePhases {
    const phases = textPokeBpBatch(context.held, context.text, context.entries);
    for (;;) {
      const step = phases.next();
      if (step.done === true) return step.value;
      yield step.value;
      if (when(step.value)) yield* store(context);
    }
  },
});

/** Stores bytes [from, to) of each entry's new bytes, whatever stands there. */
function storeEach({ held, text, entries }: BatchContext, from: number, to: number | undefined): void {
  for (const { at, bytes } of entries) storeNow(held, text, at + from, bytes.slice(from, to));
}

function storeNow(held: TextMutexHeld, text: KernelText, at: number, bytes: Uint8Array): void {
  const place = textOffset(at);
  textPoke(held, text, {
    at: place,
    expected: text.bytes(at, bytes.length),
    bytes,
    by: AUTHOR,
    notExecuting: 'it may be: that is the mutant',
  });
}

export const tailBeforeInt3 = withEarlyStore(
  ({ kind }) => kind === 'publish',
  (context) => {
    storeEach(context, 1, undefined);
    return context.entries.map(({ at }, entry) => ({ kind: 'tail', entry, at }));
  },
);

export const firstBeforeTail = withEarlyStore(
  (phase) => phase.kind === 'sync' && phase.after === 'int3',
  (context) => {
    storeEach(context, 0, 1);
    return context.entries.map(({ at }, entry) => ({ kind: 'first', entry, at }));
  },
);

/** text_poke of the whole instruction, then a sync: no int3, no vector. */
export const bareTextPoke: Mutation = {
  *batch({ held, text, entries }: BatchContext): PokePhases {
    for (const { at, bytes } of entries) {
      storeNow(held, text, at, bytes);
      yield { kind: 'poke', at };
    }
    yield { kind: 'sync', after: 'poke' };
    const summary = { pokes: entries.length, batches: 1, syncRounds: 1 };
    yield { kind: 'done', summary };
    return { ok: true, value: summary };
  },
};

/** Replaces whatever is there. */
export const unverified: Mutation = {
  batch: ({ held, text, entries }) =>
    textPokeBpBatch(
      held,
      text,
      entries.map((entry): PokeEntry => ({ ...entry, expected: text.bytes(entry.at, entry.bytes.length) })),
    ),
};
