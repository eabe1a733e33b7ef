/**
 * Tracepoints: a static key that skips the call, and a static call that goes to the only probe or to the iterator over several.
 * Source: kernel/tracepoint.c tracepoint_add_func, tracepoint_remove_func, tracepoint_update_call (6.12; 6.1 alike).
 */
import { invariant } from '../../base/index.ts';
import { keysBetween } from '../jump-label/keys.ts';
import { holdKey, keySites, releaseKey } from '../jump-label/update.ts';
import type { StaticCallUser, TraceProbe } from '../model/state.ts';
import { type StaticCall, staticCallNamed } from '../static-call/calls.ts';
import { callPlaces } from '../static-call/transform.ts';
import { leaveCall, updateCall } from '../static-call/update.ts';
import type { Txn } from '../txn.ts';
import type { World } from '../world.ts';

const PREFIX = '__tracepoint_';

export interface TracepointParts {
  /** Offset of the struct tracepoint. */
  readonly at: number;
  readonly name: string;
  /** Its static key; undefined when nothing in the image tests it. */
  readonly key: number | undefined;
  readonly call: StaticCall | undefined;
  /** `__traceiter_NAME`. */
  readonly iterator: number;
  /** A second key that its regfunc counts up, for places that several tracepoints share. */
  readonly regKey: number | undefined;
}

/** Tracepoints whose regfunc switches a static key: arch/x86/kernel/tracepoint.c, drivers/i2c/i2c-core-base.c (6.12). */
const REG_KEYS: Readonly<Record<string, string>> = {
  page_fault_user: 'trace_pagefault_key',
  page_fault_kernel: 'trace_pagefault_key',
  i2c_write: 'i2c_trace_msg_key',
  i2c_read: 'i2c_trace_msg_key',
  i2c_reply: 'i2c_trace_msg_key',
  i2c_result: 'i2c_trace_msg_key',
};

const firstKey = (world: World, name: string): number | undefined => {
  const symbol = world.image.symbols.byName(name)[0];
  return symbol?.offset === undefined ? undefined : keysBetween(world, symbol.offset, symbol.offset + symbol.size)[0];
};

/** The tracepoint of that name, with or without `__tracepoint_`. */
export function tracepointNamed(world: World, text: string): TracepointParts | undefined {
  const name = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  const at = world.image.symbols.offsetOf(PREFIX + name);
  const iterator = world.image.symbols.offsetOf(`__traceiter_${name}`);
  // Other symbols start like that too: __tracepoint_ptr_NAME, __tracepoint_probe_module_cb.
  if (at === undefined || iterator === undefined) return undefined;
  const regKey = Object.hasOwn(REG_KEYS, name) ? REG_KEYS[name] : undefined;
  return {
    at,
    name,
    key: firstKey(world, PREFIX + name),
    call: staticCallNamed(world, `tp_func_${name}`),
    iterator,
    regKey: regKey === undefined ? undefined : firstKey(world, regKey),
  };
}

/** Every place that the tracepoint patches. */
export function tracepointSites(world: World, { key, call, regKey }: TracepointParts): readonly number[] {
  return [
    ...(key === undefined ? [] : keySites(world, key)),
    ...(regKey === undefined ? [] : keySites(world, regKey)),
    ...(call === undefined ? [] : callPlaces(world, call).map(({ at }) => at)),
  ];
}

const isSame = (a: TraceProbe, b: TraceProbe): boolean =>
  a === b || (a.data !== undefined && a.data === b.data && a.func === b.func);

/** The array of struct tracepoint_func: each function with its data once. */
export const registeredProbes = (probes: readonly TraceProbe[]): readonly TraceProbe[] =>
  probes.filter((probe, index) => probes.findIndex((other) => isSame(other, probe)) === index);

/** tracepoint_update_call: one probe is called itself, several through the iterator. */
function updateTracepointCall(txn: Txn, { at, call, iterator }: TracepointParts): void {
  const probes = registeredProbes(txn.tracepoints.get(at)?.probes ?? []);
  if (call === undefined) return;
  const user: StaticCallUser = { kind: 'tracepoint', tracepoint: at, to: iterator };
  const only = probes.length === 1 ? probes[0] : undefined;
  if (probes.length === 0) leaveCall(txn, call, user);
  else updateCall(txn, call, only === undefined ? user : { ...user, to: only.func });
}

/** Adds a probe behind those that are there: equal priorities run in the order of their registration. */
export function addProbe(txn: Txn, parts: TracepointParts, probe: TraceProbe): void {
  const before = txn.tracepoints.get(parts.at)?.probes ?? [];
  for (const site of tracepointSites(txn.world, parts)) txn.touched.add(site);
  txn.tracepoints.set(parts.at, { name: parts.name, probes: [...before, probe] });
  const holder = { kind: 'tracepoint', tracepoint: parts.at } as const;
  if (before.length === 0 && parts.regKey !== undefined) holdKey(txn, parts.regKey, holder);
  // With three or more the call goes to the iterator already.
  if (registeredProbes(before).length < 2) updateTracepointCall(txn, parts);
  if (before.length === 0 && parts.key !== undefined) holdKey(txn, parts.key, holder);
}

/** Another user of the same probe takes the place of the one that leaves. */
function withoutProbe(probes: readonly TraceProbe[], leaving: TraceProbe): readonly TraceProbe[] {
  const heir = probes.find((probe) => probe !== leaving && isSame(probe, leaving));
  if (heir === undefined || probes.indexOf(heir) < probes.indexOf(leaving))
    return probes.filter((probe) => probe !== leaving);
  return probes.filter((probe) => probe !== heir).map((probe) => (probe === leaving ? heir : probe));
}

/** The last probe switches the key off before the call goes back to the iterator. */
export function removeProbe(txn: Txn, parts: TracepointParts, attachment: string): void {
  const before = txn.tracepoints.get(parts.at)?.probes ?? [];
  const leaving = before.find((probe) => probe.attachment === attachment);
  invariant(leaving !== undefined, () => `${attachment} is no probe of ${parts.name}`);
  const probes = withoutProbe(before, leaving);
  for (const site of tracepointSites(txn.world, parts)) txn.touched.add(site);
  if (probes.length > 0) {
    txn.tracepoints.set(parts.at, { name: parts.name, probes });
    if (registeredProbes(probes).length === 1) updateTracepointCall(txn, parts);
    return;
  }
  txn.tracepoints.delete(parts.at);
  for (const key of [parts.regKey, parts.key])
    if (key !== undefined)
      releaseKey(txn, key, (holder) => holder.kind === 'tracepoint' && holder.tracepoint === parts.at);
  updateTracepointCall(txn, parts);
}
