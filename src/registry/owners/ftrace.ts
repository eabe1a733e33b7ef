import { Set as ImmutableSet } from 'immutable';
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { generateCountingDirectTrampoline, generateCountingHandler } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import { registerFtraceDirect, unregisterFtraceDirect } from '../ftrace/direct.ts';
import { ftraceUsable, registerFtraceFunction, unregisterFtraceFunction } from '../ftrace/ops.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import { locate, type Place } from '../place.ts';
import { FTRACE_FILTER_NO_MATCH, FTRACE_NOT_A_SITE } from '../rules/ftrace.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation, isWeakLeftover } from '../world.ts';
import { flag } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

/** sizeof(struct ftrace_ops), rounded up; only its address matters. */
const OPS_SIZE = 256;
const CODE_SIZE = 64;

/** The site a filter entry stands for (ftrace_set_filter_ip), or why there is none. */
function filterSite(txn: Txn, place: Place, text: string, index?: number): Result<number> {
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

function patternSites(txn: Txn, pattern: string): Result<readonly number[]> {
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
function targetSites(txn: Txn, target: OwnerRequest['target']): Result<readonly number[]> {
  if (target.kind === 'pattern') return patternSites(txn, target.pattern);
  if (target.kind === 'place') {
    const site = filterSite(txn, target.place, target.text);
    return site.ok ? ok([site.value]) : site;
  }
  const sites: number[] = [];
  for (const [index, { place, text }] of target.places.entries()) {
    const site = filterSite(txn, place, text, index);
    if (!site.ok) return site;
    sites.push(site.value);
  }
  return ok([...new Set(sites)]);
}

/** Names the element of a request for several sites that a fault is about. */
function withIndex(fault: Fault, txn: Txn, sites: readonly number[], isMany: boolean): Fault {
  if (!isMany || fault.place === undefined) return fault;
  const index = sites.findIndex((site) => txn.place(site) === fault.place);
  return index < 0 ? fault : { ...fault, index };
}

function newOps(txn: Txn, id: string, fields: Partial<FtraceOps>): FtraceOps {
  return txn.setOp({
    id,
    flags: OPS.INITIALIZED,
    func: { at: 0, symbol: '' },
    pointer: dataObject(txn, OPS_SIZE),
    position: undefined,
    filter: ImmutableSet<number>(),
    opsFunc: 'none',
    trampoline: undefined,
    trampolineSize: 0,
    directCall: undefined,
    attachment: id,
    bpfFunction: undefined,
    ...fields,
  });
}

export const ftraceOwner: Owner = {
  kind: 'ftrace',
  options: {
    saveRegs: { type: 'boolean' },
    ipmodify: { type: 'boolean' },
    recursion: { type: 'boolean' },
    tracer: { type: 'enum', values: ['function', 'function_graph'], built: [] },
  },
  takes: ['places', 'pattern'],
  attach(txn, request): Result<Attached> {
    const { options, identity, target } = request;
    const unusable = ftraceUsable(txn);
    if (unusable !== undefined) return err(unusable);
    const sites = targetSites(txn, target);
    if (!sites.ok) return sites;
    const handler = install(txn, { size: CODE_SIZE, what: 'ftrace_handler', attachment: identity.id }, (at) =>
      generateCountingHandler({ at, counter: dataObject(txn, 8), cpu: txn.world.cpu }),
    );
    newOps(txn, identity.id, {
      // An ops outside core kernel data, as a module's is.
      flags:
        OPS.INITIALIZED |
        OPS.DYNAMIC |
        (flag(options, 'saveRegs') ? OPS.SAVE_REGS : 0) |
        (flag(options, 'ipmodify') ? OPS.IPMODIFY : 0) |
        (flag(options, 'recursion') ? OPS.RECURSION : 0),
      func: { at: handler, symbol: `ftrace_handler_${identity.id}` },
      filter: ImmutableSet(sites.value),
    });
    const fault = registerFtraceFunction(txn, identity.id);
    if (fault !== undefined) return err(withIndex(fault, txn, sites.value, target.kind !== 'place'));
    return ok({ sites: sites.value, owned: [handler] });
  },
  detach(txn, attachment) {
    const fault = unregisterFtraceFunction(txn, attachment.id);
    if (fault !== undefined) return fault;
    txn.opsTable.delete(attachment.id);
    for (const at of attachment.owned) remove(txn, at, []);
    return undefined;
  },
};

export const ftraceDirectOwner: Owner = {
  kind: 'ftrace_direct',
  options: { sharesIpmodify: { type: 'boolean' } },
  takes: [],
  attach(txn, request): Result<Attached> {
    const { identity, options } = request;
    const unusable = ftraceUsable(txn);
    if (unusable !== undefined) return err(unusable);
    const sites = targetSites(txn, request.target);
    if (!sites.ok) return sites;
    const direct = install(txn, { size: CODE_SIZE, what: 'ftrace_direct', attachment: identity.id }, (at) =>
      generateCountingDirectTrampoline({ at, counter: dataObject(txn, 8), cpu: txn.world.cpu }),
    );
    newOps(txn, identity.id, {
      func: { at: txn.world.ftrace?.ftraceStub ?? 0, symbol: 'call_direct_funcs' },
      filter: ImmutableSet(sites.value),
      opsFunc: flag(options, 'sharesIpmodify') ? 'accepts' : 'none',
    });
    const fault = registerFtraceDirect(txn, identity.id, direct);
    return fault === undefined ? ok({ sites: sites.value, owned: [direct] }) : err(fault);
  },
  detach(txn, attachment) {
    const direct = attachment.owned[0] as number;
    const fault = unregisterFtraceDirect(txn, attachment.id, direct);
    if (fault !== undefined) return fault;
    txn.opsTable.delete(attachment.id);
    remove(txn, direct, ['rcu_tasks']);
    return undefined;
  },
};
