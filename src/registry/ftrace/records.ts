/**
 * dyn_ftrace records: what is wanted at a site, what its text says, and what it calls.
 * Source: kernel/trace/ftrace.c __ftrace_hash_rec_update, ftrace_check_record, ftrace_get_addr_new, ftrace_get_addr_curr (6.12; 6.1 alike).
 */
import { invariant, type Steps, visitAll } from '../../base/index.ts';
import { OPS, REC, REC_NOCLEAR } from '../model/flags.ts';
import type { DynFtrace, FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { isVanished, isWeakLeftover, MODULES_START } from '../world.ts';
import { hasFlag, opsAt } from './ops-list.ts';

export type RecordUpdate = 'ignore' | 'make-call' | 'modify-call' | 'make-nop';

/** Sites in some order. */
export type Sites = (Uint32Array | readonly number[] | FtraceOps['filter']) & Iterable<number>;

export const sizeOf = (sites: Sites): number => ('length' in sites ? sites.length : sites.size);

const has = (record: DynFtrace, flag: number): boolean => (record.flags & flag) !== 0;
const withFlag = (flags: number, flag: number, on: boolean): number => (on ? flags | flag : flags & ~flag);

/** Records of dropped weak functions are never traced, and those of modules go with them. */
export const skipRecord = (txn: Txn, site: number): boolean =>
  isVanished(txn.world, site) || (isWeakLeftover(txn.world, site) && !has(txn.record(site), REC.ENABLED));

function attach(record: DynFtrace, ops: FtraceOps): DynFtrace {
  const count = record.count + 1;
  let flags = record.flags;
  if (hasFlag(ops, OPS.DIRECT)) flags |= REC.DIRECT;
  flags = withFlag(flags, REC.TRAMP, count === 1 && ops.trampoline !== undefined);
  if (hasFlag(ops, OPS.SAVE_REGS)) flags |= REC.REGS;
  return { flags, count };
}

function release(txn: Txn, site: number, record: DynFtrace, ops: FtraceOps): DynFtrace {
  invariant(record.count > 0, () => `ftrace record at ${txn.place(site)} released more often than attached`);
  const count = record.count - 1;
  let flags = record.flags;
  if (hasFlag(ops, OPS.DIRECT)) flags &= ~REC.DIRECT;
  const others = opsAt(txn, site).filter((other) => other.id !== ops.id);
  if (count > 0 && flags & REC.REGS && hasFlag(ops, OPS.SAVE_REGS)) {
    const stillInList = opsAt(txn, site);
    if (!stillInList.some((other) => hasFlag(other, OPS.SAVE_REGS))) flags &= ~REC.REGS;
  }
  flags = withFlag(flags, REC.TRAMP, count === 1 && others.some((other) => other.trampoline !== undefined));
  // While ftrace is off no rewriting follows that would clear what is left (REGS). Linux leaves it.
  const isLeftAlone = count === 0 && !(flags & REC.ENABLED) && txn.world.strictness === 'safe';
  return { flags: isLeftAlone ? flags & REC_NOCLEAR : flags, count };
}

/**
 * An ops with a direct call or IPMODIFY leaves, and among its sites is one of a module that came while it was registered: the record never counted it
 * (referenced_filters), and Linux shuts ftrace down for good.
 */
function dieOfUncounted(txn: Txn, site: number): void {
  txn.ftrace = { ...txn.ftrace, isDisabled: true };
  txn.warnings.push(`ftrace shut itself down: ${txn.place(site)} was released by an owner that it had not counted.`);
}

/** Adds the ops to, or takes it from, the record of a site. True when its text has to change; undefined when ftrace died of it. */
function updateRecord(txn: Txn, ops: FtraceOps, site: number, add: boolean): boolean | undefined {
  if (skipRecord(txn, site)) return false;
  const record = txn.record(site);
  if (!add && record.count === 0 && site >= MODULES_START) {
    if (txn.world.strictness !== 'linux') return false;
    dieOfUncounted(txn, site);
    return undefined;
  }
  const next = add ? attach(record, ops) : release(txn, site, record, ops);
  txn.setRecord(site, next);
  txn.touched.add(site);
  return checkRecord(next).update !== 'ignore';
}

/** Adds the ops to, or takes it from, the records of these sites. True when some site's text has to change. */
export function* updateRecords(txn: Txn, ops: FtraceOps, sites: Sites, add: boolean): Steps<boolean> {
  if (!hasFlag(ops, OPS.ENABLED)) return false;
  let isUpdate = false;
  let isDead = false;
  yield* visitAll(sites, sizeOf(sites), 'updating records', (site) => {
    if (isDead) return;
    const update = updateRecord(txn, ops, site, add);
    isDead = update === undefined;
    isUpdate ||= update === true;
  });
  return isUpdate && !isDead;
}

const EN_FLAGS = REC.ENABLED | REC.REGS_EN | REC.TRAMP_EN | REC.DIRECT_EN;

/** What has to happen at a site, and its flags once that happened. Without `enable` a site is to be a NOP whoever is attached. */
export function checkRecord(
  record: DynFtrace,
  enable = true,
): { readonly update: RecordUpdate; readonly after: DynFtrace } {
  const wantsCall = enable && record.count > 0;
  const isOn = has(record, REC.ENABLED);
  if (!wantsCall) {
    if (!isOn) return { update: 'ignore', after: record };
    const keeps = record.count > 0 ? ~EN_FLAGS : REC_NOCLEAR;
    return { update: 'make-nop', after: { ...record, flags: record.flags & keeps } };
  }
  const wantsDirect = record.count === 1 && has(record, REC.DIRECT);
  const differs =
    has(record, REC.REGS) !== has(record, REC.REGS_EN) ||
    has(record, REC.TRAMP) !== has(record, REC.TRAMP_EN) ||
    wantsDirect !== has(record, REC.DIRECT_EN);
  if (isOn && !differs) return { update: 'ignore', after: record };
  let flags = record.flags | REC.ENABLED | REC.TOUCHED;
  flags = withFlag(flags, REC.REGS_EN, has(record, REC.REGS));
  flags = withFlag(flags, REC.TRAMP_EN, has(record, REC.TRAMP));
  flags = withFlag(flags, REC.DIRECT_EN, wantsDirect);
  if (has(record, REC.DIRECT | REC.IPMODIFY)) flags |= REC.MODIFIED;
  return { update: isOn ? 'modify-call' : 'make-call', after: { ...record, flags } };
}

const sharedCaller = (txn: Txn, saveRegs: boolean): number => {
  invariant(txn.world.ftrace !== undefined, 'ftrace symbols');
  return saveRegs ? txn.world.ftrace.ftraceRegsCaller : txn.world.ftrace.ftraceCaller;
};

/** ftrace_get_addr_new: what the site shall call. */
export function addressNew(txn: Txn, site: number, record = txn.record(site)): number {
  if (has(record, REC.DIRECT) && record.count === 1) {
    const direct = txn.directFunctions.get(site);
    if (direct !== undefined) return direct;
  }
  if (has(record, REC.TRAMP)) {
    const trampoline = opsAt(txn, site)[0]?.trampoline;
    invariant(trampoline !== undefined, () => `bad trampoline accounting at ${txn.place(site)}`);
    return trampoline;
  }
  return sharedCaller(txn, has(record, REC.REGS));
}

function currentTrampolineOps(txn: Txn, site: number): FtraceOps | undefined {
  if (txn.removing?.filter.has(site) === true) return txn.removing;
  const modifying = txn.modifying;
  if (modifying?.oldFilter.has(site) === true) {
    const ops = txn.op(modifying.id);
    if (ops.trampoline !== undefined) return ops;
  }
  return opsAt(txn, site).find(
    (ops) => ops.trampoline !== undefined && !hasFlag(ops, OPS.ADDING) && ops.id !== modifying?.id,
  );
}

/** ftrace_get_addr_curr: what the site calls now, computed from the `_EN` flags, never remembered. */
export function addressCurrent(txn: Txn, site: number, record = txn.record(site)): number {
  if (has(record, REC.DIRECT_EN)) {
    const direct = txn.directFunctions.get(site);
    if (direct !== undefined) return direct;
  }
  if (has(record, REC.TRAMP_EN)) {
    const trampoline = currentTrampolineOps(txn, site)?.trampoline;
    invariant(trampoline !== undefined, () => `bad trampoline accounting at ${txn.place(site)}`);
    return trampoline;
  }
  return sharedCaller(txn, has(record, REC.REGS_EN));
}
