import { ACTORS_MAX } from '../search/space.ts';
import { assemble, resolvePlace, ScenarioError } from './assemble.ts';
import { codeAt, type Layout, layOut, pokeEntry } from './layout.ts';
import type { Op, Scenario } from './scenario.ts';

/** Bits of a word that a signed shift leaves alone. */
export const OWNERS_MAX = 30;
/** Three bits of a word for each, see world/grace.ts. */
export const PATCHERS_MAX = 10;

/** Whatever a scenario names must be there. Throws {@link ScenarioError}, or a RangeError of an encoder. */
export function checkContents(scenario: Scenario): void {
  const layout = layOut(scenario);
  const { patchers, cpus } = scenario;
  if (patchers.length > PATCHERS_MAX || patchers.length + cpus.length > ACTORS_MAX)
    throw new ScenarioError(`at most ${PATCHERS_MAX} patchers, and ${ACTORS_MAX} actors in all`);
  if (layout.owners.length > OWNERS_MAX) throw new ScenarioError(`at most ${OWNERS_MAX} owners`);
  for (const { run, irq, nmi } of cpus) {
    for (const name of [run, irq?.run, nmi?.run])
      if (name !== undefined && !layout.byName.has(name)) throw new ScenarioError(`no text is called ${name}`);
  }
  for (const { spec } of layout.texts) {
    const { does, owner, variable, name } = spec;
    if (does === 'callback' && owner === undefined) throw new ScenarioError(`${name} is a callback of no owner`);
    if ((does === 'list' || does === 'indirect') && variable === undefined)
      throw new ScenarioError(`${name} needs a variable`);
  }
  for (const [owner, names] of Object.entries(scenario.on ?? {})) {
    if (!layout.owners.includes(owner)) throw new ScenarioError(`nobody is called ${owner}`);
    for (const name of names) if (!layout.byName.has(name)) throw new ScenarioError(`no text is called ${name}`);
  }
  for (const { do: ops } of patchers) for (const op of ops) checkOp(layout, op);
  for (const [place, code] of Object.entries(scenario.final ?? {}))
    assemble(code, resolvePlace(layout.places, place), layout.places);
}

function checkOp(layout: Layout, op: Op): void {
  switch (op.op) {
    case 'poke':
      for (const poke of op.pokes) pokeEntry(layout, poke);
      return;
    case 'queue':
      pokeEntry(layout, op);
      return;
    case 'arm':
    case 'disarm':
      codeAt(layout, resolvePlace(layout.places, op.at), 1);
      return;
    case 'add-kprobe':
    case 'del-kprobe':
      resolvePlace(layout.places, op.at);
      return;
    case 'detour-kprobe':
      resolvePlace(layout.places, op.at);
      resolvePlace(layout.places, op.target);
      return;
    default:
      return;
  }
}
