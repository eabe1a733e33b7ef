import { textOffset, toHex } from '../../base/index.ts';
import {
  type KernelText,
  type PokeEntry,
  type PokeMismatch,
  type PokePhase,
  type PokePhases,
  type TextMutexHeld,
  TextPokeQueue,
  textPokeBpBatch,
  textPokeCopy,
  textPokeSet,
  textPokeThenSync,
} from '../../textpoke/index.ts';
import { resolvePlace, ScenarioError } from '../scenario/assemble.ts';
import { AUTHOR, codeAt, type Layout, pokeEntry } from '../scenario/layout.ts';
import type { GracePeriod, Op, PatcherSpec, PokeSpec } from '../scenario/scenario.ts';
import type { Mutation } from './mutation.ts';

/** What a patcher has just done, or waits for before it goes on. */
export type ProgramPhase =
  | PokePhase
  /** Goes on when the lock is free, and has it then. */
  | { readonly kind: 'lock'; readonly lock: string }
  | { readonly kind: 'unlock'; readonly lock: string }
  /** Goes on at once, with the lock when it is free. */
  | { readonly kind: 'trylock'; readonly lock: string }
  /** Goes on when the grace period that begins now is over. */
  | { readonly kind: 'wait'; readonly for: GracePeriod }
  | { readonly kind: 'set'; readonly variable: string; readonly value: string | readonly string[] }
  | { readonly kind: 'attached' | 'detaching'; readonly owner: string }
  | { readonly kind: 'add-kprobe'; readonly at: number; readonly owner: string }
  | { readonly kind: 'del-kprobe'; readonly at: number }
  | { readonly kind: 'detour-kprobe'; readonly at: number; readonly target: number }
  | { readonly kind: 'copied' | 'freed'; readonly name: string }
  /** Pokes are about to begin: what will be replaced by what. */
  | { readonly kind: 'intend'; readonly pokes: readonly Intent[] }
  | { readonly kind: 'mismatch'; readonly at: number; readonly expected: string; readonly actual: string }
  | { readonly kind: 'end' };

export interface Intent {
  readonly at: number;
  /** Hex. */
  readonly old: string;
  readonly new: string;
}

export interface ProgramContext {
  readonly layout: Layout;
  readonly text: KernelText;
  readonly held: TextMutexHeld;
  readonly mutation: Mutation;
}

type Program = Generator<ProgramPhase, void, undefined>;
type Part = Generator<ProgramPhase, Ran, undefined>;

/** What whoever steps a program tells it before the next step. */
export interface Answers {
  /** Behind a `trylock`: it has the lock. */
  hasLock: boolean;
}

/** Runs a patcher's list of operations: every change of text by the generators and functions of textpoke, which know nothing of being explored. */
export function* runProgram(context: ProgramContext, spec: PatcherSpec, answers: Answers): Program {
  const state: ProgramState = { ...context, answers, queue: new TextPokeQueue(context.text), now: new Map() };
  let isRefused = false;
  for (const op of spec.do) {
    // What did not find the bytes it expected, or did not get a lock, gives up, but not with locks held.
    if (isRefused && op.op !== 'unlock') continue;
    isRefused = (yield* runOp(state, op)) === REFUSED || isRefused;
  }
  yield { kind: 'end' };
}

/** Answered by an operation that found other bytes than it expected, or a lock taken. */
const REFUSED = 'refused';
type Ran = typeof REFUSED | undefined;

interface ProgramState extends ProgramContext {
  readonly answers: Answers;
  readonly queue: TextPokeQueue;
  /** What this patcher's earlier operations have put where: expected bytes come from what owners are, not from the text. */
  readonly now: Map<number, Uint8Array>;
}

function* runOp(state: ProgramState, op: Op): Part {
  const { layout, held, text } = state;
  switch (op.op) {
    case 'lock':
    case 'unlock':
      yield { kind: op.op, lock: op.lock };
      return undefined;
    case 'trylock':
      yield { kind: op.op, lock: op.lock };
      return state.answers.hasLock ? undefined : REFUSED;
    case 'poke':
      return yield* pokeAll(state, op.pokes);
    case 'queue':
      return yield* queueOne(state, op);
    case 'finish':
      return yield* answered(state.queue.finish(held));
    case 'arm':
    case 'disarm':
      return yield* armOne(state, op);
    case 'add-kprobe':
      yield { kind: op.op, at: resolvePlace(layout.places, op.at), owner: op.owner };
      return undefined;
    case 'del-kprobe':
      yield { kind: op.op, at: resolvePlace(layout.places, op.at) };
      return undefined;
    case 'detour-kprobe': {
      const target = resolvePlace(layout.places, op.target);
      yield { kind: op.op, at: resolvePlace(layout.places, op.at), target };
      return undefined;
    }
    case 'copy':
    case 'free': {
      const found = layout.byName.get(op.name);
      if (found === undefined) throw new ScenarioError(`no text is called ${op.name}`);
      const at = textOffset(found.at);
      if (op.op === 'copy') textPokeCopy(held, text, { at, bytes: found.code, by: AUTHOR });
      else textPokeSet(held, text, { at, length: found.length, by: AUTHOR });
      yield { kind: op.op === 'copy' ? 'copied' : 'freed', name: op.name };
      return undefined;
    }
    case 'wait':
      yield { kind: 'wait', for: op.for };
      return undefined;
    case 'set':
      yield { kind: 'set', variable: op.variable, value: op.value };
      return undefined;
    default:
      yield { kind: op.op, owner: op.owner };
      return undefined;
  }
}

/** The entry of a poke, expecting what this patcher's own steps have left there. */
function entryOf(state: ProgramState, poke: PokeSpec): PokeEntry {
  const entry = pokeEntry(state.layout, poke);
  const now = poke.from === undefined ? state.now.get(entry.at) : undefined;
  const expected = now?.length === entry.bytes.length ? now : entry.expected;
  state.now.set(entry.at, entry.bytes);
  return { ...entry, expected };
}

const intend = (entries: readonly PokeEntry[]): ProgramPhase => ({
  kind: 'intend',
  pokes: entries.map(({ at, expected, bytes }) => ({ at, old: toHex(expected), new: toHex(bytes) })),
});

function* pokeAll(state: ProgramState, pokes: readonly PokeSpec[]): Part {
  const { held, text, mutation } = state;
  const entries = pokes.map((poke) => entryOf(state, poke));
  yield intend(entries);
  return yield* answered(mutation.batch?.({ held, text, entries }) ?? textPokeBpBatch(held, text, entries));
}

function* queueOne(state: ProgramState, poke: PokeSpec): Part {
  const entry = entryOf(state, poke);
  yield intend([entry]);
  return yield* answered(state.queue.queue(state.held, entry));
}

const INT3 = Uint8Array.of(0xcc);

function* armOne(state: ProgramState, { op, at }: { readonly op: string; readonly at: string }): Part {
  const { layout, held, text } = state;
  const place = textOffset(resolvePlace(layout.places, at));
  const first = (state.now.get(place) ?? codeAt(layout, place, 1)).slice(0, 1);
  const [expected, bytes] = op === 'arm' ? [first, INT3] : [INT3, first];
  return yield* answered(textPokeThenSync(held, text, { at: place, expected, bytes, by: AUTHOR }));
}

/** A poke's phases, and what it answers in the end when it did not find what it expected. */
function* answered(phases: PokePhases): Part {
  const result = yield* phases;
  if (result.ok) return undefined;
  yield mismatchPhase(result.fault);
  return REFUSED;
}

const mismatchPhase = ({ at, expected, actual }: PokeMismatch): ProgramPhase => ({
  kind: 'mismatch',
  at,
  expected: toHex(expected),
  actual: toHex(actual),
});
