/**
 * fprobe and what stands on it. Source: kernel/trace/fprobe.c register_fprobe, register_fprobe_syms, register_fprobe_ips;
 * kernel/trace/bpf_trace.c bpf_kprobe_multi_link_attach (6.12). Each user has an ftrace_ops of its own until 6.14.
 */
import { Set as ImmutableSet } from 'immutable';
import { err, type Fault, ok, type Result, type Steps } from '../../base/index.ts';
import { symbolFunc } from '../ftrace/callers.ts';
import { joinGraphTracers, leaveGraphTracers } from '../ftrace/graph-tracers.ts';
import { newOps } from '../ftrace/new-ops.ts';
import { ftraceUsable, registerSteps, unregisterSteps } from '../ftrace/ops.ts';
import { FPROBE } from '../kernels/ftrace-facts.ts';
import { OPS } from '../model/flags.ts';
import type { OwnerKind } from '../model/request.ts';
import type { Attachment } from '../model/state.ts';
import { FPROBE_SYMBOL, FPROBE_UNAVAILABLE, KPROBE_MULTI_SYMBOL } from '../rules/fprobe.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { targetSitesSteps, withIndex } from './ftrace-targets.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

/** Any of them says that the image has fprobe: the handler of 5.18, and what took its place with 6.14. */
const HANDLERS = ['fprobe_handler', 'fprobe_fgraph_entry', 'fprobe_entry'] as const;

/** A name that is no traceable function has an errno of its own here; an address that is no site has ftrace's. */
function symbolFault(_txn: Txn, target: OwnerRequest['target'], fault: Fault, rule: typeof FPROBE_SYMBOL): Fault {
  const named = target.kind === 'places' && fault.index !== undefined ? target.places[fault.index] : target;
  const place = named !== undefined && 'place' in named ? named.place : undefined;
  if (place?.kind !== 'symbol') return fault;
  return refuse(rule, {
    detail: fault.detail,
    place: fault.place ?? place.name,
    ...(fault.index === undefined ? {} : { index: fault.index }),
  });
}

/** ftrace_lookup_symbols finds each name once, so that a list with one twice is never complete. Recorded. */
function nameTwice(target: OwnerRequest['target']): Fault | undefined {
  if (target.kind !== 'places') return undefined;
  const names = new Set<string>();
  for (const [index, { place }] of target.places.entries()) {
    if (place.kind !== 'symbol' || place.delta !== 0) continue;
    const { name } = place;
    if (names.has(name))
      return refuse(KPROBE_MULTI_SYMBOL, { detail: `${name} is in the list twice.`, place: name, index });
    names.add(name);
  }
  return undefined;
}

function* attach(txn: Txn, request: OwnerRequest, symbolRule: typeof FPROBE_SYMBOL): Steps<Result<Attached>> {
  const { identity, target } = request;
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return err(unusable);
  const standsOn = txn.world.fact(FPROBE);
  if (standsOn === 'none') return err(refuse(FPROBE_UNAVAILABLE, { detail: `${txn.world.kernel} has no fprobe.` }));
  const handler = HANDLERS.find((name) => txn.world.image.symbols.offsetOf(name) !== undefined);
  if (handler === undefined)
    return err(refuse(FPROBE_UNAVAILABLE, { detail: `${txn.world.image.release} has no ${HANDLERS[0]}.` }));
  const twice = symbolRule === KPROBE_MULTI_SYMBOL ? nameTwice(target) : undefined;
  if (twice !== undefined) return err(twice);
  const sites = yield* targetSitesSteps(txn, target);
  if (!sites.ok) return err(symbolFault(txn, target, sites.fault, symbolRule));
  if (standsOn === 'the function-graph tracer') {
    const busy = joinGraphTracers(txn, identity.id, sites.value, true);
    return busy === undefined ? ok({ sites: sites.value, owned: [] }) : err(withIndex(busy, txn, sites.value, target));
  }
  newOps(txn, identity.id, {
    attachment: identity.id,
    flags: OPS.INITIALIZED | OPS.DYNAMIC | OPS.SAVE_REGS,
    func: symbolFunc(txn, handler),
    filter: ImmutableSet(sites.value),
  });
  const fault = yield* registerSteps(txn, identity.id);
  return fault === undefined ? ok({ sites: sites.value, owned: [] }) : err(withIndex(fault, txn, sites.value, target));
}

function* detach(txn: Txn, attachment: Attachment): Steps<Fault | undefined> {
  if (txn.graphTracers.some((tracer) => tracer.attachment === attachment.id))
    return leaveGraphTracers(txn, attachment.id);
  const fault = yield* unregisterSteps(txn, attachment.id);
  if (fault === undefined) txn.opsTable.delete(attachment.id);
  return fault;
}

function owner(kind: OwnerKind, symbolRule: typeof FPROBE_SYMBOL): Owner {
  return {
    kind,
    options: {},
    takes: ['places', 'pattern'],
    attach: (txn, request) => attach(txn, request, symbolRule),
    detach,
  };
}

export const fprobeOwner: Owner = owner('fprobe', FPROBE_SYMBOL);
export const kprobeMultiOwner: Owner = owner('kprobe_multi', KPROBE_MULTI_SYMBOL);
export const kretprobeMultiOwner: Owner = owner('kretprobe_multi', KPROBE_MULTI_SYMBOL);
