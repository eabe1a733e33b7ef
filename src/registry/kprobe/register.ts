/**
 * The kprobe table: registering, sharing an address, disabling, unregistering.
 * Source: kernel/kprobes.c register_kprobe, register_aggr_kprobe, try_to_optimize_kprobe, __disable_kprobe, enable_kprobe,
 * __unregister_kprobe_top, __unregister_kprobe_bottom (6.12; 6.1 alike).
 */
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { remove } from '../arena.ts';
import { ARM_FAILURE_REPORTED } from '../kernels/kprobe-facts.ts';
import type { Kprobe, KprobeChild, KprobeEntry } from '../model/state.ts';
import { kprobeAttachments } from '../owners/holders.ts';
import type { Place } from '../place.ts';
import { KPROBE_ARM_UNREPORTED, KPROBE_GONE, KPROBE_POST_HANDLER_MIX } from '../rules/kprobe.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation } from '../world.ts';
import { kprobeAddress } from './address.ts';
import { checkAddressSafe } from './address-safe.ts';
import { armKprobe, disarmKprobe } from './arm.ts';
import { entryAt } from './entry.ts';
import { optimizeKprobe, reuseUnusedKprobe, unoptimizeKprobe } from './optimize.ts';
import { prepareOptprobe, removeOptprobe } from './optprobe.ts';
import { prepareKprobe } from './prepare.ts';
import { isDisarmed, isUnused } from './queues.ts';

export type KprobeRequest = Omit<Kprobe, 'addr'>;

/** Linux accepts it and gets it wrong; only safe strictness refuses. */
function postHandlerMix(txn: Txn, entry: KprobeEntry, request: KprobeRequest): Fault | undefined {
  const isMix = entry.isFtrace && request.hasPostHandler && !entry.hasPostHandler && !entry.isDisabled;
  if (!isMix) return undefined;
  const place = txn.place(entry.addr);
  if (txn.world.strictness === 'safe')
    return refuse(KPROBE_POST_HANDLER_MIX, {
      detail: `${place} has an armed kprobe without a post_handler; Linux would accept this one beside it and never restore the site.`,
      place,
      holders: txn.holders(kprobeAttachments(txn, entry.addr)),
    });
  txn.warnings.push(
    `Linux does not move the probe at ${place} to the IPMODIFY ops: the site will not be restored (${KPROBE_POST_HANDLER_MIX.id}).`,
  );
  return undefined;
}

/**
 * Text is there again where a probe is GONE: the address is prepared afresh, disabled; the probes that are GONE stay so. One that nobody used any
 * more when its text went is never prepared again: the optimizer has lost it, and reuse_unused_kprobe finds no detour.
 */
function reviveEntry(txn: Txn, { isGone, ...entry }: KprobeEntry, probe: Kprobe): Fault | undefined {
  const { addr } = entry;
  if (isUnused(entry))
    return refuse(KPROBE_GONE, {
      detail: `A probe at ${txn.place(addr)} was leaving when its text went, and Linux keeps what is left of it.`,
      place: txn.place(addr),
    });
  if (entry.isFtrace) {
    txn.setEntry({ ...entry, isAggregate: true, opcode: txn.text.u8(addr) });
    return undefined;
  }
  const prepared = prepareKprobe(txn, addr, probe);
  if (!prepared.ok) return prepared.fault;
  const { opcode, slot } = prepared.value;
  txn.setEntry({ ...entry, isAggregate: true, opcode, slot, opt: prepareOptprobe(txn, addr) });
  return undefined;
}

/** register_aggr_kprobe: the second and later probes of an address. */
function registerAggregate(txn: Txn, addr: number, probe: Kprobe): Fault | undefined {
  const mixed = postHandlerMix(txn, entryAt(txn, addr), probe);
  if (mixed !== undefined) return mixed;
  const existing = entryAt(txn, addr);
  if (existing.isGone === true) {
    const fault = reviveEntry(txn, existing, probe);
    if (fault !== undefined) return fault;
  } else if (!existing.isAggregate) {
    const opt = existing.isFtrace ? undefined : prepareOptprobe(txn, addr);
    txn.setEntry({ ...existing, isAggregate: true, opt });
  } else if (isUnused(existing)) reuseUnusedKprobe(txn, addr);
  // add_new_kprobe
  if (probe.hasPostHandler || probe.keepsInt3) unoptimizeKprobe(txn, addr, true);
  const entry = entryAt(txn, addr);
  const joined = txn.setEntry({
    ...entry,
    hasPostHandler: entry.hasPostHandler || probe.hasPostHandler,
    children: [{ kind: 'probe', id: probe.id }, ...entry.children],
  });
  txn.kprobes.set(probe.id, probe);
  txn.touched.add(addr);
  if (!joined.isDisabled || probe.isDisabled) return undefined;
  txn.setEntry({ ...joined, isDisabled: false });
  return armKprobe(txn, addr);
}

/** try_to_optimize_kprobe: what can become a jump is made an aggregate at once, disabled or not. */
function tryToOptimize(txn: Txn, addr: number): void {
  const opt = prepareOptprobe(txn, addr);
  if (opt === undefined) return;
  txn.setEntry({ ...entryAt(txn, addr), isAggregate: true, opt });
  optimizeKprobe(txn, addr);
}

function registerFirst(txn: Txn, probe: Kprobe, isFtrace: boolean): Fault | undefined {
  const { addr, isDisabled, hasPostHandler } = probe;
  let opcode = txn.text.u8(addr);
  let slot: number | undefined;
  if (!isFtrace) {
    const prepared = prepareKprobe(txn, addr, probe);
    if (!prepared.ok) return prepared.fault;
    ({ opcode, slot } = prepared.value);
  }
  const children = [{ kind: 'probe' as const, id: probe.id }];
  const first = 'original' as const;
  const isAggregate = false;
  txn.setEntry({
    addr,
    isFtrace,
    isAggregate,
    isDisabled,
    hasPostHandler,
    children,
    opcode,
    slot,
    first,
    opt: undefined,
  });
  txn.kprobes.set(probe.id, probe);
  txn.touched.add(addr);
  const fault = isDisabled ? undefined : armKprobe(txn, addr);
  if (fault !== undefined) return notArmed(txn, entryAt(txn, addr), probe, fault);
  if (!isFtrace) tryToOptimize(txn, addr);
  return undefined;
}

/** Since 6.14 the probe is taken from the table and its caller told that all went well. */
function notArmed(txn: Txn, entry: KprobeEntry, probe: Kprobe, fault: Fault): Fault | undefined {
  if (txn.world.fact(ARM_FAILURE_REPORTED)) return fault;
  const place = txn.place(probe.addr);
  if (txn.world.strictness === 'safe')
    return refuse(KPROBE_ARM_UNREPORTED, {
      ...(fault.holders === undefined ? {} : { holders: fault.holders }),
      errno: fault.errno,
      detail: `${fault.detail} Linux ${txn.world.kernel} does not arm the probe and returns 0.`,
      place,
    });
  txn.kprobeTable.delete(entry.addr);
  txn.kprobes.delete(probe.id);
  txn.warnings.push(
    `Linux ${txn.world.kernel} returns 0, but the probe at ${place} is not armed (${fault.errno}, ${fault.rule}) and never fires (${KPROBE_ARM_UNREPORTED.id}).`,
  );
  return undefined;
}

const isLost = (id: string): Fault =>
  refuse(KPROBE_ARM_UNREPORTED, { errno: 'EINVAL', detail: `${id} was never armed, and Linux no longer knows it.` });

/** register_kprobe. The address it was registered at. */
export function registerKprobe(txn: Txn, request: KprobeRequest, place: Place): Result<number> {
  const resolved = kprobeAddress(txn, place);
  if (!resolved.ok) return resolved;
  const { addr } = resolved.value;
  const unsafe = checkAddressSafe(txn.world, addr, txn.place(addr));
  if (unsafe !== undefined) return err(unsafe);
  const probe: Kprobe = { ...request, addr };
  const existing = txn.kprobeTable.get(addr);
  const isFtrace = ftraceLocation(txn.world, addr) === addr;
  const fault = existing === undefined ? registerFirst(txn, probe, isFtrace) : registerAggregate(txn, addr, probe);
  return fault === undefined ? ok(addr) : err(fault);
}

const isChildDisabled = (txn: Txn, child: KprobeChild): boolean =>
  child.kind === 'probe' && txn.kprobe(child.id).isDisabled;

/** __disable_kprobe: the site is disarmed once every probe of the address is disabled; a jump when the optimizer runs. */
export function disableKprobe(txn: Txn, id: string): Fault | undefined {
  if (!txn.kprobes.has(id)) return isLost(id);
  const probe = txn.kprobe(id);
  if (probe.isDisabled) return undefined;
  const entry = entryAt(txn, probe.addr);
  txn.kprobes.set(id, { ...probe, isDisabled: true });
  txn.touched.add(probe.addr);
  const isAllDisabled = !entry.isAggregate || entry.children.every((child) => isChildDisabled(txn, child));
  if (!isAllDisabled) return undefined;
  if (!entry.isDisabled) {
    const fault = disarmKprobe(txn, probe.addr);
    if (fault !== undefined) {
      txn.kprobes.set(id, probe);
      return fault;
    }
  }
  txn.setEntry({ ...entryAt(txn, probe.addr), isDisabled: true });
  return undefined;
}

/** enable_kprobe. */
export function enableKprobe(txn: Txn, id: string): Fault | undefined {
  if (!txn.kprobes.has(id)) return isLost(id);
  const probe = txn.kprobe(id);
  if (probe.isGone === true)
    return refuse(KPROBE_GONE, { detail: `The text that ${id} probed is gone.`, place: txn.place(probe.addr) });
  const entry = entryAt(txn, probe.addr);
  txn.kprobes.set(id, { ...probe, isDisabled: false });
  txn.touched.add(probe.addr);
  if (!entry.isDisabled) return undefined;
  txn.setEntry({ ...entry, isDisabled: false });
  return armKprobe(txn, probe.addr);
}

const otherHasPostHandler = (txn: Txn, entry: KprobeEntry, id: string): boolean =>
  entry.children.some((child) =>
    child.kind === 'ghost' ? child.hasPostHandler : child.id !== id && txn.kprobe(child.id).hasPostHandler,
  );

/** Disarming failed and Linux frees the probe all the same: a ghost stays in the table and the text stays as it is. */
function leaveGhost(txn: Txn, probe: Kprobe, fault: Fault): void {
  const entry = entryAt(txn, probe.addr);
  txn.setEntry({
    ...entry,
    children: entry.children.map((child) =>
      child.kind === 'probe' && child.id === probe.id
        ? { kind: 'ghost', probe: probe.kind, hasPostHandler: probe.hasPostHandler }
        : child,
    ),
  });
  txn.kprobes.delete(probe.id);
  txn.warnings.push(
    `Linux failed to disarm the probe at ${txn.place(probe.addr)} (${fault.errno}, ${fault.rule}) and freed it: the site stays patched and a freed entry stays on the kprobe list.`,
  );
}

/** __unregister_kprobe_bottom, free_aggr_kprobe. */
function removeEntry(txn: Txn, { addr, slot, opt }: KprobeEntry): void {
  txn.kprobeTable.delete(addr);
  if (opt !== undefined) removeOptprobe(txn, opt, ['rcu', 'rcu_tasks']);
  if (slot !== undefined) remove(txn, slot, ['rcu', 'rcu_tasks']);
}

/** unregister_kprobe. It never fails for its caller; what goes wrong is a warning. */
export function unregisterKprobe(txn: Txn, id: string): void {
  if (!txn.kprobes.has(id)) return;
  const probe = txn.kprobe(id);
  txn.touched.add(probe.addr);
  const fault = disableKprobe(txn, id);
  if (fault !== undefined) {
    leaveGhost(txn, probe, fault);
    return;
  }
  const entry = entryAt(txn, probe.addr);
  txn.kprobes.delete(id);
  if (entry.children.length === 1 && isDisarmed(txn, entry)) {
    removeEntry(txn, entry);
    return;
  }
  // At an ftrace site the aggregate keeps its post_handler, so that disarming finds the ops it was armed with.
  const dropsPostHandler = probe.hasPostHandler && !entry.isFtrace && !otherHasPostHandler(txn, entry, id);
  txn.setEntry({
    ...entry,
    hasPostHandler: entry.hasPostHandler && !dropsPostHandler,
    children: entry.children.filter((child) => child.kind === 'ghost' || child.id !== id),
  });
  // Its post_handler may have been what was in the way.
  if (!entry.isDisabled) optimizeKprobe(txn, entry.addr);
}
