/**
 * Rewrites sites and shared callers after records changed.
 *
 *   1. The shared callers are pointed at the list function, which checks each ops' filter, before any site moves.
 *   2. Every site's current bytes are verified against the records; one mismatch and nothing is written.
 *   3. All sites are rewritten in one sorted queue.
 *   4. The shared callers are pointed at the final function, when that is not the list function.
 *
 * Source: kernel/trace/ftrace.c ftrace_modify_all_code, arch/x86/kernel/ftrace.c ftrace_replace_code (6.12).
 */
import { type Steps, straight, visitAll } from '../../base/index.ts';
import { callRel32, NOP5 } from '../../insn/index.ts';
import type { DynFtrace } from '../model/state.ts';
import type { TextChange } from '../text-op.ts';
import type { Txn } from '../txn.ts';
import { pokeSharedCallers, symbolsOf } from './callers.ts';
import { addressCurrent, addressNew, checkRecord, skipRecord } from './records.ts';

export interface ModifyCommand {
  /** FTRACE_UPDATE_CALLS. */
  readonly isUpdateCalls: boolean;
  readonly isUpdateTraceFunc: boolean;
}

function* replaceCode(txn: Txn, sites: Uint32Array, enable: boolean): Steps<void> {
  const changes: TextChange[] = [];
  const after: { readonly site: number; readonly record: DynFtrace }[] = [];
  yield* visitAll(sites, sites.length, 'finding what sites call', (site) => {
    if (skipRecord(txn, site)) return;
    const record = txn.record(site);
    const checked = checkRecord(record, enable);
    if (checked.update === 'ignore') return;
    const expected = checked.update === 'make-call' ? NOP5 : callRel32(site, addressCurrent(txn, site, record));
    const bytes = checked.update === 'make-nop' ? NOP5 : callRel32(site, addressNew(txn, site, record));
    changes.push({ at: site, expected, bytes });
    after.push({ site, record: checked.after });
  });
  if (changes.length > 0) yield* txn.emitBatch({ kind: 'batch', changes, what: 'ftrace_replace_code' });
  yield* visitAll(after, after.length, 'taking the records', ({ site, record }) => txn.setRecord(site, record));
}

const ascending = (sites: Iterable<number>): Uint32Array => Uint32Array.from(new Set(sites)).sort();

/** `sites` are those whose records may have changed, in any order. While ftrace is off nothing is rewritten. */
export function* modifyAllCode(txn: Txn, command: ModifyCommand, sites: Iterable<number>): Steps<void> {
  if (!txn.ftrace.isEnabled) return;
  const symbols = symbolsOf(txn);
  if (command.isUpdateTraceFunc) pokeSharedCallers(txn, symbols.listFunction);
  if (command.isUpdateCalls) yield* replaceCode(txn, ascending(sites), true);
  if (command.isUpdateTraceFunc && txn.ftrace.traceFunction !== symbols.listFunction)
    pokeSharedCallers(txn, txn.ftrace.traceFunction);
}

/** FTRACE_DISABLE_CALLS: every site becomes a NOP; the shared callers keep what they call. */
export function disableCalls(txn: Txn): void {
  straight(replaceCode(txn, ascending(txn.records.keys()), false));
}
