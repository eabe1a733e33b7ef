/** What an unexpected byte means where kgdb, static branches and static calls are concerned. */
import type { Fault, Holder } from '../base/index.ts';
import { labelCovering } from './jump-label/keys.ts';
import type { KernelState } from './model/state.ts';
import { JUMP_LABEL_BUG } from './rules/jump-label.ts';
import { KGDB_IN_THE_WAY } from './rules/kgdb.ts';
import { refuse } from './rules/rule.ts';
import { STATIC_CALL_BUG } from './rules/static-call.ts';
import { siteCovering, trampolineCovering } from './static-call/calls.ts';
import { byteDetails, type UnexpectedBytes } from './txn.ts';
import { describePlace, type World } from './world.ts';

function breakpointHolders(state: KernelState, { at, expected }: UnexpectedBytes): readonly Holder[] {
  const holders: Holder[] = [];
  for (const [addr, { attachment: id }] of state.kgdb) {
    const attachment = id === undefined ? undefined : state.attachments.get(id);
    if (attachment === undefined || addr < at || addr >= at + expected.length) continue;
    const { kind, client, sinceMs } = attachment;
    holders.push({ attachment: attachment.id, kind, client, since: new Date(sinceMs).toISOString() });
  }
  return holders;
}

/** `safe`: a breakpoint of kgdb's stands where text would change. Nobody's bytes are unaccounted for, so nothing is quarantined. */
export function breakpointInTheWay(world: World, state: KernelState, error: UnexpectedBytes): Fault | undefined {
  if (world.strictness !== 'safe') return undefined;
  const holders = breakpointHolders(state, error);
  if (holders.length === 0) return undefined;
  const place = describePlace(world, error.at);
  const detail = `${place} has a breakpoint of kgdb's; nothing was written.`;
  return refuse(KGDB_IN_THE_WAY, { detail, place, holders, ...byteDetails(error) });
}

/** `linux`: where Linux would stop with BUG rather than answer. */
export function bugInLinux(world: World, state: KernelState, error: UnexpectedBytes): Fault | undefined {
  if (world.strictness !== 'linux') return undefined;
  const isLabel = labelCovering(world, error.at) !== undefined;
  const isCall = siteCovering(world, error.at) !== undefined || trampolineCovering(world, error.at) !== undefined;
  if (!isLabel && !isCall) return undefined;
  const place = describePlace(world, error.at);
  const detail = `${place} does not have the bytes that its owners account for: Linux would stop with BUG. Nothing was written.`;
  const holders = breakpointHolders(state, error);
  return refuse(isLabel ? JUMP_LABEL_BUG : STATIC_CALL_BUG, { detail, place, holders, ...byteDetails(error) });
}
