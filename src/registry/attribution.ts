/**
 * What text must be, computed from the owners' state alone: pristine, except for these pieces. The audit compares the two.
 */
import { CALL_INSN_SIZE, callRel32 } from '../insn/index.ts';
import { allLinks, trampolineSite } from './bpf/trampoline.ts';
import { addressCurrent } from './ftrace/records.ts';
import { jumpLabelBytes } from './jump-label/owned-bytes.ts';
import { withBreakpoints } from './kgdb/owned-bytes.ts';
import { standingBytes } from './kprobe/entry.ts';
import { REC } from './model/flags.ts';
import { siteFacts } from './site-view.ts';
import { staticCallBytes } from './static-call/owned-bytes.ts';
import type { Txn } from './txn.ts';

export interface OwnedBytes {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly what: string;
  readonly owners: readonly string[];
}

function* ftraceBytes(txn: Txn): Generator<OwnedBytes> {
  for (const [at, record] of txn.records) {
    if (!(record.flags & REC.ENABLED)) continue;
    const { owners } = siteFacts(txn, at);
    yield { at, bytes: callRel32(at, addressCurrent(txn, at)), what: 'ftrace', owners };
  }
  const { ftrace } = txn.world;
  const callee = txn.ftrace.callerFunction;
  if (ftrace === undefined || callee === undefined) return;
  for (const at of [ftrace.ftraceCall, ftrace.ftraceRegsCall])
    yield { at, bytes: callRel32(at, callee).slice(0, CALL_INSN_SIZE), what: 'ftrace_caller', owners: [] };
}

/** Every piece of text that an owner accounts for, with the bytes it must have. Pieces do not overlap. */
export const ownedBytes = (txn: Txn): Generator<OwnedBytes> => withBreakpoints(txn, patchedBytes(txn));

function* patchedBytes(txn: Txn): Generator<OwnedBytes> {
  yield* ftraceBytes(txn);
  yield* jumpLabelBytes(txn);
  yield* staticCallBytes(txn);
  for (const [at, entry] of txn.kprobeTable) {
    const bytes = standingBytes(entry);
    if (bytes !== undefined) yield { at, bytes, what: 'kprobe', owners: siteFacts(txn, at).owners };
  }
  for (const [func, trampoline] of txn.trampolines) {
    if (trampoline.isFtraceManaged || trampoline.image === undefined) continue;
    const at = trampolineSite(txn, func);
    const owners = allLinks(trampoline).map((link) => link.attachment);
    yield { at, bytes: callRel32(at, trampoline.image.at), what: 'bpf_trampoline', owners };
  }
  for (const [at, allocation] of txn.arena.allocations)
    yield {
      at,
      bytes: allocation.bytes,
      what: allocation.what,
      owners: allocation.attachment === undefined ? [] : [allocation.attachment],
    };
}
