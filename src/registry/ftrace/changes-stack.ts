/**
 * A variant that Linux does not have (`serve --variants`): ops whose callback may change the stack. Such an ops is alone at its site: the shared
 * callers have no room for it, and other callbacks would see a frame that is not theirs.
 */
import { type Fault, toAddress } from '../../base/index.ts';
import { generateCountingDirectTrampoline, generateStackCallback, generateStackTrampoline } from '../../jit/index.ts';
import { dataObject, install } from '../arena.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import { opsAttachments } from '../owners/holders.ts';
import { refuse } from '../rules/rule.ts';
import { FTRACE_CHANGES_STACK_ALONE } from '../rules/variants.ts';
import type { Txn } from '../txn.ts';
import { hasFlag, opsAt } from './ops-list.ts';

const CODE_SIZE = 64;
/** Room for the trampoline. */
export const STACK_TRAMPOLINE_SIZE = 160;

/** The function whose call is emulated, the callback that does so, and the trampoline that lets it; in this order. */
export function installStackChanging(
  txn: Txn,
  id: string,
  ops: bigint,
): { readonly callee: number; readonly callback: number; readonly trampoline: number } {
  const { cpu, image } = txn.world;
  const counter = dataObject(txn, 8);
  const counted = { size: CODE_SIZE, what: 'ftrace_stack_function', attachment: id, counter };
  const callee = install(txn, counted, (at) => generateCountingDirectTrampoline({ at, counter, cpu }));
  const callback = install(txn, { size: CODE_SIZE, what: 'ftrace_stack_callback', attachment: id }, (at) =>
    generateStackCallback({ at, callee: toAddress(image.base, callee), cpu }),
  );
  const trampoline = install(
    txn,
    { size: STACK_TRAMPOLINE_SIZE, what: 'ftrace_stack_trampoline', attachment: id },
    (at) => generateStackTrampoline({ at, ops, callback, cpu }),
  );
  return { callee, callback, trampoline };
}

const alone = (txn: Txn, site: number, other: FtraceOps): Fault =>
  refuse(FTRACE_CHANGES_STACK_ALONE, {
    detail: `${txn.place(site)} has another owner, and one whose callback changes the stack has to be alone there.`,
    place: txn.place(site),
    holders: txn.holders(opsAttachments(txn, other, site)),
  });

const standsFor = ({ filter }: FtraceOps, site: number): boolean => filter.size === 0 || filter.has(site);

/** Why an ops cannot come to these sites. */
export function checkAlone(txn: Txn, ops: FtraceOps, entering: FtraceOps['filter']): Fault | undefined {
  if (!txn.world.hasVariants) return undefined;
  if (hasFlag(ops, OPS.CHANGES_STACK)) {
    for (const site of entering)
      for (const other of opsAt(txn, site)) if (other.id !== ops.id) return alone(txn, site, other);
    return undefined;
  }
  for (const other of txn.opsTable.values()) {
    if (!hasFlag(other, OPS.CHANGES_STACK) || !hasFlag(other, OPS.ENABLED) || other.id === ops.id) continue;
    const site = other.filter.find((each) => standsFor({ ...ops, filter: entering }, each));
    if (site !== undefined) return alone(txn, site, other);
  }
  return undefined;
}
