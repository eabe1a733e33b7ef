/** From what a request names to the ftrace sites it means. */
import { err, type Fault, invariant, ok, type Result, type Steps, straight, visitAll } from '../../base/index.ts';
import { locate, type Place, scopeOf } from '../place.ts';
import { FTRACE_FILTER_NO_MATCH, FTRACE_NOT_A_SITE } from '../rules/ftrace.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation, isWeakLeftover } from '../world.ts';
import type { OwnerRequest } from './owner.ts';

/** The site a filter entry stands for (ftrace_set_filter_ip), or why there is none. */
export function filterSite(txn: Txn, place: Place, text: string, index?: number): Result<number> {
  const where = locate(txn.world, place);
  const site = where === undefined ? undefined : ftraceLocation(txn.world, where);
  if (site !== undefined) return ok(site);
  const near = where === undefined && place.kind === 'symbol' ? txn.world.image.symbols.near(place.name, 3) : [];
  const rule = where === undefined ? FTRACE_FILTER_NO_MATCH : FTRACE_NOT_A_SITE;
  return err(
    refuse(rule, {
      detail:
        where === undefined
          ? `${text} is not in the kernel's symbol table.`
          : `${text} is neither an ftrace site nor a function that has one.`,
      place: text,
      ...(index === undefined ? {} : { index }),
      ...(near.length > 0 ? { remedies: [`Did you mean ${near.join(', ')}?`] } : {}),
    }),
  );
}

export function patternSites(txn: Txn, pattern: string): Result<readonly number[]> {
  const sites = new Set<number>();
  for (const symbol of txn.world.image.symbols.matching(pattern)) {
    const site = symbol.offset === undefined ? undefined : ftraceLocation(txn.world, symbol.offset);
    if (site !== undefined && !isWeakLeftover(txn.world, site)) sites.add(site);
  }
  if (sites.size > 0) return ok([...sites]);
  return err(
    refuse(FTRACE_FILTER_NO_MATCH, {
      detail: `${JSON.stringify(pattern)} matches no function with an ftrace site.`,
      place: pattern,
    }),
  );
}

/** All the sites a target names; the first that is none fails the whole request. */
export const targetSites = (txn: Txn, target: OwnerRequest['target']): Result<readonly number[]> =>
  straight(targetSitesSteps(txn, target));

export function* targetSitesSteps(txn: Txn, target: OwnerRequest['target']): Steps<Result<readonly number[]>> {
  if (target.kind === 'pattern') return patternSites(txn, target.pattern);
  if (target.kind === 'place') {
    const site = filterSite(txn, target.place, target.text);
    return site.ok ? ok([site.value]) : site;
  }
  invariant(target.kind !== 'program', 'ftrace knows no BPF programs');
  const { places } = target;
  const sites: number[] = [];
  let refused: Result<never> | undefined;
  yield* visitAll(places, places.length, 'finding sites', ({ place, text }, index) => {
    if (refused !== undefined) return;
    const site = filterSite(txn, place, text, index);
    if (site.ok) sites.push(site.value);
    else refused = site;
  });
  return refused ?? ok([...new Set(sites)]);
}

/**
 * The sites that a tracer's filter file means: a name there is matched against all functions, so every function of that name is traced
 * (ftrace_match_records), where ftrace_set_filter_ip has one address.
 */
export function tracerSites(txn: Txn, target: OwnerRequest['target']): Result<readonly number[]> {
  const sites = targetSites(txn, target);
  if (!sites.ok || target.kind === 'pattern' || target.kind === 'program') return sites;
  const places = target.kind === 'place' ? [target.place] : target.places.map((each) => each.place);
  const namesakes = places.flatMap((place) =>
    place.kind === 'symbol' && place.delta === 0
      ? (scopeOf(txn.world, place)?.image.symbols.byName(place.name) ?? [])
      : [],
  );
  const more = namesakes.flatMap(({ offset }) => {
    const site = offset === undefined ? undefined : ftraceLocation(txn.world, offset);
    return site === undefined || isWeakLeftover(txn.world, site) ? [] : [site];
  });
  return ok([...new Set([...sites.value, ...more])]);
}

/** Names the element of a request for several sites that a fault is about. */
export function withIndex(fault: Fault, txn: Txn, sites: readonly number[], target: OwnerRequest['target']): Fault {
  if (target.kind === 'place' || fault.place === undefined) return fault;
  const index = sites.findIndex((site) => txn.place(site) === fault.place);
  return index < 0 ? fault : { ...fault, index };
}
