import { kernelAddress, ManualClock, textOffset } from '../../base/index.ts';
import {
  ARENA_START,
  KernelText,
  type PokeAuthor,
  type PokeEntry,
  PokeHistory,
  type TextMutexHeld,
  textPokeCopy,
} from '../../textpoke/index.ts';
import { assemble, codeLength, type Places, resolvePlace, ScenarioError } from './assemble.ts';
import type { Op, PokeSpec, Scenario, TextSpec } from './scenario.ts';

const BASE = kernelAddress(0xffff_ffff_8100_0000n);
const ARENA = Number(ARENA_START - BASE);
/** Core text of a scenario ends here. */
const CORE_BYTES = 0x8000;

/** A piece of the scenario's text where it stands. `code` is what it has when it exists. */
export interface PlacedText {
  readonly spec: TextSpec;
  readonly at: number;
  readonly length: number;
  readonly code: Uint8Array;
  readonly isArena: boolean;
}

export interface Layout {
  readonly places: Places;
  readonly texts: readonly PlacedText[];
  readonly byName: ReadonlyMap<string, PlacedText>;
  /** Who is called or may be: bits of masks count in this order. */
  readonly owners: readonly string[];
  /** By its first byte. */
  readonly builtins: ReadonlyMap<number, PlacedText>;
  /** [start, end) of bytes that some step of a patcher may change: elsewhere every CPU fetches the same whatever happens. */
  readonly changing: readonly (readonly [number, number])[];
}

export const AUTHOR: PokeAuthor = { client: 'explore', kind: 'ftrace', reason: 'attach' };

export function layOut(scenario: Scenario): Layout {
  const places = new Map<string, number>();
  for (const spec of scenario.text) {
    if (places.has(spec.name)) throw new ScenarioError(`two texts are called ${spec.name}`);
    places.set(spec.name, startOf(spec));
  }
  const texts = scenario.text.map((spec) => placeText(spec, places));
  const sorted = [...texts].sort((a, b) => a.at - b.at);
  for (const [i, { at, length, spec }] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && at + length > next.at) throw new ScenarioError(`${spec.name} overlaps ${next.spec.name}`);
  }
  return {
    places,
    texts,
    byName: new Map(texts.map((text) => [text.spec.name, text])),
    owners: ownersOf(scenario),
    builtins: new Map(texts.filter(({ spec }) => spec.does !== undefined).map((text) => [text.at, text])),
    changing: scenario.patchers.flatMap(({ do: ops }) => ops.flatMap((op) => changedBy(op, places, texts))),
  };
}

function ownersOf({ text, attached = [], variables = {}, patchers }: Scenario): readonly string[] {
  const ops = patchers.flatMap((patcher) => patcher.do);
  const listed = [
    ...Object.entries(variables).map(([variable, value]) => ({ variable, value })),
    ...ops.flatMap((op) => (op.op === 'set' ? [op] : [])),
  ].filter(({ variable }) => text.some((spec) => spec.does === 'list' && spec.variable === variable));
  const owners = [
    ...text.flatMap(({ owner }) => owner ?? []),
    ...attached,
    ...ops.flatMap((op) => ('owner' in op ? op.owner : [])),
    ...listed.flatMap(({ value }) => value),
  ];
  return [...new Set(owners)].sort();
}

function startOf({ name, at }: TextSpec): number {
  const parts = /^(?:(arena)\+)?(0x[0-9a-f]{1,7})$/.exec(at);
  if (parts === null) throw new ScenarioError(`${name} stands at ${at}, which is neither 0x… nor arena+0x…`);
  const offset = Number(parts[2]);
  if (parts[1] === undefined && offset >= CORE_BYTES) throw new ScenarioError(`${name} stands beyond 0x7fff`);
  return parts[1] === undefined ? offset : ARENA + offset;
}

function placeText(spec: TextSpec, places: Places): PlacedText {
  const at = resolvePlace(places, spec.name);
  if ((spec.code === undefined) === (spec.does === undefined))
    throw new ScenarioError(`${spec.name} needs either code or does`);
  const code = spec.code === undefined ? Uint8Array.of(0x90) : assemble(spec.code, at, places);
  if (at < ARENA && at + code.length > CORE_BYTES) throw new ScenarioError(`${spec.name} ends beyond 0x7fff`);
  return { spec, at, length: code.length, code, isArena: at >= ARENA };
}

function changedBy(op: Op, places: Places, texts: readonly PlacedText[]): readonly (readonly [number, number])[] {
  const range = (at: string, length: number): readonly [number, number] => {
    const start = resolvePlace(places, at);
    return [start, start + length];
  };
  switch (op.op) {
    case 'poke':
      return op.pokes.map((poke) => range(poke.at, codeLength(poke.to)));
    case 'queue':
      return [range(op.at, codeLength(op.to))];
    case 'arm':
    case 'disarm':
      return [range(op.at, 1)];
    case 'copy':
    case 'free': {
      const text = texts.find(({ spec }) => spec.name === op.name);
      if (text === undefined) throw new ScenarioError(`no text is called ${op.name}`);
      return [[text.at, text.at + text.length]];
    }
    default:
      return [];
  }
}

/** A kernel's text with the scenario in it. */
export function buildText(layout: Layout, held: TextMutexHeld): KernelText {
  const bytes = new Uint8Array(CORE_BYTES).fill(0xcc);
  for (const { at, code, isArena } of layout.texts) if (!isArena) bytes.set(code, at);
  const clock = new ManualClock();
  const text = new KernelText({
    base: BASE,
    clock,
    ranges: [{ name: '.text', start: textOffset(0), bytes }],
    history: new PokeHistory({ clock, siteMax: 1, totalMax: 16 }),
  });
  for (const { at, code, isArena, spec } of layout.texts)
    if (isArena && spec.absent !== true) textPokeCopy(held, text, { at: textOffset(at), bytes: code, by: AUTHOR });
  return text;
}

/** A poke of the scenario as textpoke takes it. */
export function pokeEntry(layout: Layout, { at, to, from, emulate }: PokeSpec): PokeEntry {
  const place = textOffset(resolvePlace(layout.places, at));
  const bytes = assemble(to, place, layout.places);
  const expected = from === undefined ? codeAt(layout, place, bytes.length) : assemble(from, place, layout.places);
  const played = emulate === undefined ? {} : { emulate: assemble(emulate, place, layout.places) };
  return { at: place, bytes, expected, by: AUTHOR, ...played };
}

/** What the scenario's text has at a place. */
export function codeAt(layout: Layout, at: number, length: number): Uint8Array {
  const text = layout.texts.find((each) => at >= each.at && at + length <= each.at + each.length);
  if (text === undefined) throw new ScenarioError(`nothing of ${length} bytes stands at 0x${at.toString(16)}`);
  return text.code.slice(at - text.at, at - text.at + length);
}
