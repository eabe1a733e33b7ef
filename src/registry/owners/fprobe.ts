/**
 * fprobe and what stands on it. Source: kernel/trace/fprobe.c register_fprobe, register_fprobe_syms, register_fprobe_ips;
 * kernel/trace/bpf_trace.c bpf_kprobe_multi_link_attach (6.12). Each user has an ftrace_ops of its own until 6.14.
 */
import { Set as ImmutableSet } from 'immutable';
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { symbolFunc } from '../ftrace/callers.ts';
import { newOps } from '../ftrace/new-ops.ts';
import { ftraceUsable, registerFtraceFunction, unregisterFtraceFunction } from '../ftrace/ops.ts';
import { OPS } from '../model/flags.ts';
import type { OwnerKind } from '../model/request.ts';
import { FPROBE_SYMBOL, FPROBE_UNAVAILABLE, KPROBE_MULTI_SYMBOL } from '../rules/fprobe.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { targetSites, withIndex } from './ftrace-targets.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

const HANDLER = 'fprobe_handler';

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

function attach(txn: Txn, request: OwnerRequest, symbolRule: typeof FPROBE_SYMBOL): Result<Attached> {
  const { identity, target } = request;
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return err(unusable);
  if (txn.world.image.symbols.offsetOf(HANDLER) === undefined)
    return err(refuse(FPROBE_UNAVAILABLE, { detail: `${txn.world.image.release} has no ${HANDLER}.` }));
  const sites = targetSites(txn, target);
  if (!sites.ok) return err(symbolFault(txn, target, sites.fault, symbolRule));
  newOps(txn, identity.id, {
    attachment: identity.id,
    flags: OPS.INITIALIZED | OPS.DYNAMIC | OPS.SAVE_REGS,
    func: symbolFunc(txn, HANDLER),
    filter: ImmutableSet(sites.value),
  });
  const fault = registerFtraceFunction(txn, identity.id);
  return fault === undefined ? ok({ sites: sites.value, owned: [] }) : err(withIndex(fault, txn, sites.value, target));
}

function owner(kind: OwnerKind, symbolRule: typeof FPROBE_SYMBOL): Owner {
  return {
    kind,
    options: {},
    takes: ['places', 'pattern'],
    attach: (txn, request) => attach(txn, request, symbolRule),
    detach(txn, attachment) {
      const fault = unregisterFtraceFunction(txn, attachment.id);
      if (fault === undefined) txn.opsTable.delete(attachment.id);
      return fault;
    },
  };
}

export const fprobeOwner: Owner = owner('fprobe', FPROBE_SYMBOL);
export const kprobeMultiOwner: Owner = owner('kprobe_multi', KPROBE_MULTI_SYMBOL);
export const kretprobeMultiOwner: Owner = owner('kretprobe_multi', KPROBE_MULTI_SYMBOL);
