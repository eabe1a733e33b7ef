/**
 * A variant that Linux does not have (`serve --variants`): a kprobe at a function's entry that saves arguments alone, `fullRegs: false`. It is an
 * ftrace_ops of its own without SAVE_REGS, so that its private trampoline is a copy of ftrace_caller (docs/variants.md has what that saves).
 */
import { Set as ImmutableSet } from 'immutable';
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { remove } from '../arena.ts';
import { newOps } from '../ftrace/new-ops.ts';
import { ftraceUsable, registerFtraceFunction, unregisterFtraceFunction } from '../ftrace/ops.ts';
import { isEnabled } from '../ftrace/ops-list.ts';
import { kprobeAddress } from '../kprobe/address.ts';
import { OPS } from '../model/flags.ts';
import type { Attachment } from '../model/state.ts';
import type { Place } from '../place.ts';
import { refuse } from '../rules/rule.ts';
import { KPROBE_FULL_REGS, KPROBE_FULL_REGS_ENTRY } from '../rules/variants.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation } from '../world.ts';
import { countingFunc } from './ftrace.ts';
import { flag, type Options } from './options.ts';
import type { Attached, OwnerRequest } from './owner.ts';

export const hasArgumentsOnly = (options: Options): boolean => options['fullRegs'] === false;

export function attachArgumentsProbe(txn: Txn, { identity, options }: OwnerRequest, place: Place): Result<Attached> {
  if (!txn.world.hasVariants)
    return err(refuse(KPROBE_FULL_REGS, { detail: 'A kprobe of Linux saves all registers for its handlers.' }));
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return err(unusable);
  const resolved = kprobeAddress(txn, place);
  if (!resolved.ok) return resolved;
  const { addr } = resolved.value;
  const isPlain = !flag(options, 'postHandler') && (options['via'] ?? 'kernel') === 'kernel';
  if (!isPlain || ftraceLocation(txn.world, addr) !== addr)
    return err(
      refuse(KPROBE_FULL_REGS_ENTRY, {
        detail: `The kprobe at ${txn.place(addr)} needs all registers.`,
        place: txn.place(addr),
      }),
    );
  const { id } = identity;
  const func = countingFunc(txn, id);
  newOps(txn, id, {
    attachment: id,
    flags: OPS.INITIALIZED | OPS.DYNAMIC,
    func,
    filter: ImmutableSet([addr]),
  });
  const fault = registerFtraceFunction(txn, id);
  return fault === undefined ? ok({ sites: [addr], owned: [func.at] }) : err(fault);
}

export function enableArgumentsProbe(txn: Txn, { id }: Attachment, enabled: boolean): Fault | undefined {
  if (enabled === isEnabled(txn.op(id))) return undefined;
  return enabled ? registerFtraceFunction(txn, id) : unregisterFtraceFunction(txn, id);
}

export function detachArgumentsProbe(txn: Txn, attachment: Attachment): Fault | undefined {
  const fault = enableArgumentsProbe(txn, attachment, false);
  if (fault !== undefined) return fault;
  txn.opsTable.delete(attachment.id);
  for (const at of attachment.owned) remove(txn, at, []);
  return undefined;
}
