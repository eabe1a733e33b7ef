/**
 * ftrace_ops: registering, unregistering, changing the filter.
 * Source: kernel/trace/ftrace.c register_ftrace_function, ftrace_startup, ftrace_shutdown, ftrace_set_hash, ftrace_hash_move (6.12; 6.1 alike).
 *
 * One difference on purpose: Linux keeps the private trampoline of an ops in core kernel data for ever; here it goes with the registration,
 * so that text is pristine when the last owner has left.
 */
import { Set as ImmutableSet } from 'immutable';
import { type Fault, invariant, type Steps, straight } from '../../base/index.ts';
import { remove } from '../arena.ts';
import { OPS, REC_NOCLEAR } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import { FTRACE_DISABLED, FTRACE_FILTER_ABSENT, FTRACE_NOT_A_SITE, FTRACE_UNAVAILABLE } from '../rules/ftrace.ts';
import { refuse } from '../rules/rule.ts';
import { FTRACE_OFF_PERMANENT } from '../rules/sysctl.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation } from '../world.ts';
import { updateTraceFunction } from './callers.ts';
import { checkAlone } from './changes-stack.ts';
import { cleanupDirectAfterIpmodify, prepareDirectForIpmodify, updateIpmodify } from './ipmodify.ts';
import { disableCalls, modifyAllCode } from './modify-code.ts';
import { addToList, assignFilter, hasFlag, isEnabled, type MovingSites, removeFromList } from './ops-list.ts';
import { type Sites, updateRecords } from './records.ts';
import { installTrampoline } from './trampoline.ts';

/** Why ftrace cannot be used; `callback` is the function of the kernel that the caller wants called. */
export function ftraceUsable(txn: Txn, callback = 'kprobe_ftrace_handler'): Fault | undefined {
  const { ftrace, image } = txn.world;
  if (ftrace === undefined)
    return refuse(FTRACE_UNAVAILABLE, { detail: `${image.release} has no ftrace callers in its text.` });
  if (image.symbols.offsetOf(callback) === undefined)
    return refuse(FTRACE_UNAVAILABLE, { detail: `${image.release} has no ${callback}.` });
  if (txn.ftrace.isDisabled)
    return refuse(FTRACE_DISABLED, {
      detail:
        'ftrace disabled itself after a site did not have the bytes its records expect; nothing can be attached or detached any more.',
    });
  return undefined;
}

/** The sites an ops stands for: its filter, or every site when the filter is empty. */
function sitesOf(txn: Txn, filter: FtraceOps['filter']): Sites {
  return filter.size === 0 ? txn.world.ftraceSites : filter;
}

const explicit = (filter: FtraceOps['filter']): FtraceOps['filter'] | undefined =>
  filter.size === 0 ? undefined : filter;

/** saved_ftrace_func: whether the shared callers have to change. */
function traceFunctionMoved(txn: Txn): boolean {
  if (txn.ftrace.savedFunction === txn.ftrace.traceFunction) return false;
  txn.ftrace = { ...txn.ftrace, savedFunction: txn.ftrace.traceFunction };
  return true;
}

/** What startup did before the site was refused. A BPF trampoline that is asked for ORIG_STACK (EAGAIN) registers the same ops again. */
function rollBack(txn: Txn, id: string): void {
  const ops = straight(removeFromList(txn, txn.op(id)));
  updateTraceFunction(txn);
  freeTrampoline(txn, txn.setOp({ ...ops, flags: ops.flags & ~(OPS.ENABLED | OPS.ADDING) }));
}

/** What ftrace_shutdown waits for before what a dynamic ops called, and its trampoline, may be freed. */
export const SHUTDOWN_GRACES = ['rcu_tasks_rude', 'rcu_tasks'] as const;

/**
 * The private trampoline goes once nobody can be in it. Linux frees only those of dynamic ops, after both grace periods; the few static ops
 * keep theirs for when they come back. Here it is made again, and goes as quietly.
 */
function freeTrampoline(txn: Txn, ops: FtraceOps): FtraceOps {
  if (!hasFlag(ops, OPS.ALLOC_TRAMP) || ops.trampoline === undefined) return ops;
  const told = hasFlag(ops, OPS.DYNAMIC) ? SHUTDOWN_GRACES : [];
  remove(txn, ops.trampoline, SHUTDOWN_GRACES, { told });
  return txn.setOp({ ...ops, trampoline: undefined, trampolineSize: 0, flags: ops.flags & ~OPS.ALLOC_TRAMP });
}

/** register_ftrace_function_nolock → ftrace_startup. */
export const startup = (txn: Txn, id: string): Fault | undefined => straight(startupSteps(txn, id));

function* startupSteps(txn: Txn, id: string): Steps<Fault | undefined> {
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return unusable;
  if (!txn.ftrace.isEnabled && hasFlag(txn.op(id), OPS.PERMANENT))
    return refuse(FTRACE_OFF_PERMANENT, {
      detail: 'ftrace is switched off (kernel.ftrace_enabled is 0), and this owner may not be silenced.',
      holders: [],
    });
  const shared = checkAlone(txn, txn.op(id), txn.op(id).filter);
  if (shared !== undefined) return shared;
  let ops = yield* addToList(txn, txn.op(id));
  if (ops.trampoline === undefined) ops = installTrampoline(txn, ops);
  updateTraceFunction(txn);
  ops = txn.setOp({ ...ops, flags: ops.flags | OPS.ENABLED | OPS.ADDING });
  const fault = updateIpmodify(txn, ops, ImmutableSet<number>(), explicit(ops.filter));
  if (fault !== undefined) {
    rollBack(txn, id);
    return fault;
  }
  const isUpdateCalls = yield* updateRecords(txn, ops, sitesOf(txn, ops.filter), true);
  const isUpdateTraceFunc = traceFunctionMoved(txn);
  yield* modifyAllCode(txn, { isUpdateCalls, isUpdateTraceFunc }, sitesOf(txn, ops.filter));
  txn.setOp({ ...txn.op(id), flags: txn.op(id).flags & ~OPS.ADDING });
  return undefined;
}

/** register_ftrace_function: direct owners are asked before an IPMODIFY ops enters. */
export const registerFtraceFunction = (txn: Txn, id: string): Fault | undefined => straight(registerSteps(txn, id));

/** The same for ops with many sites. */
export function* registerSteps(txn: Txn, id: string): Steps<Fault | undefined> {
  const ops = txn.op(id);
  if (hasFlag(ops, OPS.IPMODIFY)) {
    const fault = prepareDirectForIpmodify(txn, ops.filter);
    if (fault !== undefined) return fault;
  }
  return yield* startupSteps(txn, id);
}

/**
 * The last ops has left: Linux walks all records, and one with flags left shuts ftrace down for good. An owner with SAVE_REGS that left while
 * ftrace was off is how that comes about; `safe` strictness leaves no such flags.
 */
function checkLeftovers(txn: Txn): void {
  if (txn.ftrace.registered > 0 || !txn.ftrace.isEnabled) return;
  const left = txn.records.findKey((record) => (record.flags & ~REC_NOCLEAR) !== 0);
  if (left === undefined) return;
  txn.ftrace = { ...txn.ftrace, isDisabled: true };
  txn.warnings.push(
    `ftrace shut itself down: the record of ${txn.place(left)} still had flags of an owner that left while kernel.ftrace_enabled was 0 (${FTRACE_DISABLED.id}).`,
  );
}

/** unregister_ftrace_function → ftrace_shutdown. */
export const unregisterFtraceFunction = (txn: Txn, id: string): Fault | undefined => straight(unregisterSteps(txn, id));

/** The same for ops with many sites. */
export function* unregisterSteps(txn: Txn, id: string): Steps<Fault | undefined> {
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return unusable;
  let ops = yield* removeFromList(txn, txn.op(id));
  updateTraceFunction(txn);
  const released = updateIpmodify(txn, ops, explicit(ops.filter), ImmutableSet<number>());
  invariant(released === undefined, 'releasing IPMODIFY never fails');
  const isUpdateCalls = yield* updateRecords(txn, ops, sitesOf(txn, ops.filter), false);
  ops = txn.setOp({ ...ops, flags: ops.flags & ~OPS.ENABLED });
  const isUpdateTraceFunc = traceFunctionMoved(txn);
  txn.removing = ops;
  yield* modifyAllCode(txn, { isUpdateCalls, isUpdateTraceFunc }, sitesOf(txn, ops.filter));
  txn.removing = undefined;
  if (isUpdateCalls || isUpdateTraceFunc) checkLeftovers(txn);
  ops = freeTrampoline(txn, ops);
  cleanupDirectAfterIpmodify(txn, ops);
  return undefined;
}

/** ftrace_hash_move and ftrace_ops_update_code: another filter for an ops that may be registered. */
export function moveFilter(txn: Txn, id: string, filter: FtraceOps['filter']): Fault | undefined {
  const { filter: before } = txn.op(id);
  const entering = filter.filter((site) => !before.has(site));
  const leaving = before.filter((site) => !filter.has(site));
  return moveSites(txn, id, filter, { entering, leaving });
}

/** Step by step, whatever the filter has besides those that move. */
function moveSites(
  txn: Txn,
  id: string,
  filter: FtraceOps['filter'],
  { entering, leaving }: MovingSites,
): Fault | undefined {
  const before = txn.op(id);
  const shared = isEnabled(before) && entering.size > 0 ? checkAlone(txn, before, entering) : undefined;
  if (shared !== undefined) return shared;
  const fault = updateIpmodify(txn, before, explicit(before.filter), explicit(filter));
  if (fault !== undefined) return fault;
  straight(updateRecords(txn, before, leaving, false));
  const after = assignFilter(txn, txn.op(id), filter, { entering, leaving });
  straight(updateRecords(txn, after, entering, true));
  if (!isEnabled(after)) return undefined;
  txn.modifying = { id, oldFilter: before.filter };
  straight(modifyAllCode(txn, { isUpdateCalls: true, isUpdateTraceFunc: false }, [...leaving, ...entering]));
  txn.modifying = undefined;
  return undefined;
}

/** ftrace_set_filter_ip: adds a site to, or takes it from, the filter. `ip` may be any byte of the site or the first of its function. */
export function setFilterIp(txn: Txn, id: string, ip: number, change: 'add' | 'remove'): Fault | undefined {
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return unusable;
  const site = ftraceLocation(txn.world, ip);
  if (site === undefined)
    return refuse(FTRACE_NOT_A_SITE, { detail: `${txn.place(ip)} is not an ftrace site.`, place: txn.place(ip) });
  const { filter } = txn.op(id);
  const moving = ImmutableSet([site]);
  const nobody = ImmutableSet<number>();
  if (change === 'add') {
    const entering = filter.has(site) ? nobody : moving;
    return moveSites(txn, id, filter.add(site), { entering, leaving: nobody });
  }
  if (!filter.has(site))
    return refuse(FTRACE_FILTER_ABSENT, {
      detail: `${txn.place(site)} is not in the filter of ${id}.`,
      place: txn.place(site),
    });
  return moveSites(txn, id, filter.delete(site), { entering: nobody, leaving: moving });
}

/** ftrace_enable_sysctl, switching off: all sites become NOPs, direct calls and kprobes included, and whoever was attached stays attached. */
export function switchFtraceOff(txn: Txn): void {
  txn.ftrace = { ...txn.ftrace, traceFunction: txn.world.ftrace?.ftraceStub ?? 0 };
  if (txn.ftrace.registered > 0) disableCalls(txn);
  txn.ftrace = { ...txn.ftrace, isEnabled: false };
}

/** ftrace_enable_sysctl, switching on: every site calls what its record says by now. */
export function switchFtraceOn(txn: Txn): void {
  txn.ftrace = { ...txn.ftrace, isEnabled: true, savedFunction: undefined };
  if (txn.ftrace.registered === 0) return;
  updateTraceFunction(txn);
  const isUpdateTraceFunc = traceFunctionMoved(txn);
  straight(modifyAllCode(txn, { isUpdateCalls: true, isUpdateTraceFunc }, txn.records.keys()));
}
