import { Set as ImmutableSet } from 'immutable';
import { err, type Fault, ok, type Result, type Steps } from '../../base/index.ts';
import { generateCountingDirectTrampoline, generateCountingHandler } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import { symbolFunc } from '../ftrace/callers.ts';
import { installStackChanging, STACK_TRAMPOLINE_SIZE } from '../ftrace/changes-stack.ts';
import { registerFtraceDirect, unregisterFtraceDirect } from '../ftrace/direct.ts';
import { joinGraphTracers, leaveGraphTracers } from '../ftrace/graph-tracers.ts';
import { newOps } from '../ftrace/new-ops.ts';
import {
  ftraceUsable,
  registerFtraceFunction,
  registerSteps,
  SHUTDOWN_GRACES,
  unregisterSteps,
} from '../ftrace/ops.ts';
import { DIRECT_MEETS_IPMODIFY, DIRECT_OPS, GRAPH_CALLBACK } from '../kernels/ftrace-facts.ts';
import { OPS } from '../model/flags.ts';
import type { Attachment, FtraceOps } from '../model/state.ts';
import { FTRACE_DIRECT_NO_OPS_FUNC } from '../rules/ftrace.ts';
import { refuse } from '../rules/rule.ts';
import { FTRACE_CHANGES_STACK } from '../rules/variants.ts';
import type { Txn } from '../txn.ts';
import { targetSites, targetSitesSteps, tracerSites, withIndex } from './ftrace-targets.ts';
import { flag, type Options } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

const CODE_SIZE = 64;
const FUNCTION_TRACER = 'function_trace_call';

/** The kernel's own function that a tracer calls; undefined without a tracer. */
function callbackOf(txn: Txn, { tracer }: Options): string | undefined {
  if (tracer === 'function') return FUNCTION_TRACER;
  return tracer === 'function_graph' ? txn.world.fact(GRAPH_CALLBACK) : undefined;
}

/** What an ops without a tracer calls: a handler of its own that counts. */
export function countingFunc(txn: Txn, id: string): FtraceOps['func'] {
  const counter = dataObject(txn, 8);
  const at = install(txn, { size: CODE_SIZE, what: 'ftrace_handler', attachment: id, counter }, (where) =>
    generateCountingHandler({ at: where, counter, cpu: txn.world.cpu }),
  );
  return { at, symbol: `ftrace_handler_${id}` };
}

function attachGraphTracer(txn: Txn, request: OwnerRequest, sites: readonly number[]): Result<Attached> {
  const fault = joinGraphTracers(txn, request.identity.id, sites);
  return fault === undefined ? ok({ sites, owned: [] }) : err(withIndex(fault, txn, sites, request.target));
}

/** A tracer's callback is the kernel's and keeps to registers: with `changesStack` the callback is always one of the service's own. */
function attachStackChanging(txn: Txn, { identity, target }: OwnerRequest, sites: readonly number[]): Result<Attached> {
  const { id } = identity;
  const ops = newOps(txn, id, {
    attachment: id,
    flags: OPS.INITIALIZED | OPS.DYNAMIC | OPS.CHANGES_STACK,
    filter: ImmutableSet(sites),
  });
  const { callee, callback, trampoline } = installStackChanging(txn, id, ops.pointer);
  txn.setOp({
    ...ops,
    func: { at: callback, symbol: `ftrace_stack_callback_${id}` },
    trampoline,
    trampolineSize: STACK_TRAMPOLINE_SIZE,
  });
  const fault = registerFtraceFunction(txn, id);
  return fault === undefined
    ? ok({ sites, owned: [trampoline, callback, callee] })
    : err(withIndex(fault, txn, sites, target));
}

function* attachFtrace(txn: Txn, request: OwnerRequest): Steps<Result<Attached>> {
  const { options, identity, target } = request;
  const isStackChanging = flag(options, 'changesStack');
  if (isStackChanging && !txn.world.hasVariants)
    return err(
      refuse(FTRACE_CHANGES_STACK, { detail: 'Callbacks of an ftrace ops of Linux cannot change the stack.' }),
    );
  const unusable = ftraceUsable(txn, callbackOf(txn, options));
  if (unusable !== undefined) return err(unusable);
  const sites = options['tracer'] === undefined ? yield* targetSitesSteps(txn, target) : tracerSites(txn, target);
  if (!sites.ok) return sites;
  if (isStackChanging) return attachStackChanging(txn, request, sites.value);
  if (options['tracer'] === 'function_graph') return attachGraphTracer(txn, request, sites.value);
  const tracer = options['tracer'] === 'function' ? symbolFunc(txn, FUNCTION_TRACER) : undefined;
  const func = tracer ?? countingFunc(txn, identity.id);
  newOps(txn, identity.id, {
    attachment: identity.id,
    // An ops outside core kernel data: in a module, or allocated.
    flags:
      OPS.INITIALIZED |
      OPS.DYNAMIC |
      (flag(options, 'saveRegs') ? OPS.SAVE_REGS : 0) |
      (flag(options, 'ipmodify') ? OPS.IPMODIFY : 0) |
      (flag(options, 'recursion') ? OPS.RECURSION : 0),
    func,
    filter: ImmutableSet(sites.value),
  });
  const fault = yield* registerSteps(txn, identity.id);
  if (fault !== undefined) return err(withIndex(fault, txn, sites.value, target));
  return ok({ sites: sites.value, owned: tracer === undefined ? [func.at] : [] });
}

function* detachFtrace(txn: Txn, attachment: Attachment): Steps<Fault | undefined> {
  if (attachment.options['tracer'] === 'function_graph') return leaveGraphTracers(txn, attachment.id);
  const fault = yield* unregisterSteps(txn, attachment.id);
  if (fault !== undefined) return fault;
  txn.opsTable.delete(attachment.id);
  // Its callers are gone when its trampoline is; in one of its own a task may stand.
  for (const at of attachment.owned) remove(txn, at, SHUTDOWN_GRACES, { told: [] });
  return undefined;
}

export const ftraceOwner: Owner = {
  kind: 'ftrace',
  options: {
    saveRegs: { type: 'boolean' },
    ipmodify: { type: 'boolean' },
    changesStack: { type: 'boolean' },
    recursion: { type: 'boolean' },
    tracer: { type: 'enum', values: ['function', 'function_graph'] },
  },
  takes: ['places', 'pattern'],
  attach: attachFtrace,
  detach: detachFtrace,
};

export const ftraceDirectOwner: Owner = {
  kind: 'ftrace_direct',
  options: { sharesIpmodify: { type: 'boolean' } },
  takes: [],
  attach(txn, request): Result<Attached> {
    const { identity, options } = request;
    const isSharing = flag(options, 'sharesIpmodify');
    const ops = txn.world.fact(DIRECT_OPS);
    if (isSharing && txn.world.fact(DIRECT_MEETS_IPMODIFY) === 'never')
      return err(
        refuse(FTRACE_DIRECT_NO_OPS_FUNC, { detail: `Direct calls of ${txn.world.kernel} have no ops_func.` }),
      );
    const unusable = ftraceUsable(txn);
    if (unusable !== undefined) return err(unusable);
    const sites = targetSites(txn, request.target);
    // Before 6.4 it looks the record up itself (register_ftrace_direct); later kernels go through the filter.
    if (!sites.ok) return ops === 'one for each' ? sites : err({ ...sites.fault, errno: 'ENODEV' });
    const counter = dataObject(txn, 8);
    const code = { size: CODE_SIZE, what: 'ftrace_direct', attachment: identity.id, counter };
    const direct = install(txn, code, (at) => generateCountingDirectTrampoline({ at, counter, cpu: txn.world.cpu }));
    newOps(txn, identity.id, {
      attachment: identity.id,
      // The shared ops, direct_ops, is PERMANENT.
      flags: OPS.INITIALIZED | (ops !== 'one for each' && !isSharing ? OPS.PERMANENT : 0),
      func: { at: txn.world.ftrace?.ftraceStub ?? 0, symbol: 'call_direct_funcs' },
      filter: ImmutableSet(sites.value),
      opsFunc: isSharing ? 'accepts' : 'none',
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
