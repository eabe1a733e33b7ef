/**
 * What text must be, computed from the owners' state alone: pristine, except for these pieces. The audit compares the two.
 */
import { CALL_INSN_SIZE, callRel32 } from '../insn/index.ts';
import { generatedBytes } from './arena.ts';
import { pokedBytes, pokeSite, trampolineSite } from './bpf/text-poke.ts';
import { allLinks } from './bpf/trampoline.ts';
import { addressCurrent } from './ftrace/records.ts';
import { jumpLabelBytes } from './jump-label/owned-bytes.ts';
import { withBreakpoints } from './kgdb/owned-bytes.ts';
import { standingBytes } from './kprobe/entry.ts';
import { REC } from './model/flags.ts';
import type { BpfTrampoline } from './model/state.ts';
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

/** A BPF program with what others put over the NOPs at the entries of its functions. */
function programBytes(txn: Txn, at: number, bytes: Uint8Array, trampolines: readonly BpfTrampoline[]): Uint8Array {
  const inside = trampolines.filter(({ func }) => func >= at && func < at + bytes.length);
  if (inside.length === 0) return bytes;
  const patched = bytes.slice();
  for (const { func, extension, image } of inside) {
    const site = pokeSite(txn, func);
    const poked =
      extension === undefined ? pokedBytes('call', site, image?.at) : pokedBytes('jump', site, extension.entry);
    patched.set(poked, site - at);
  }
  return patched;
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
    if (trampoline.isFtraceManaged || trampoline.image === undefined || trampoline.program !== undefined) continue;
    const at = trampolineSite(txn, func);
    const owners = allLinks(trampoline).map((link) => link.attachment);
    yield { at, bytes: callRel32(at, trampoline.image.at), what: 'bpf_trampoline', owners };
  }
  const onPrograms = [...txn.trampolines.values()].filter(({ program }) => program !== undefined);
  for (const [at, allocation] of txn.arena.allocations)
    yield {
      at,
      bytes: programBytes(txn, at, generatedBytes(txn, allocation), onPrograms),
      what: allocation.what,
      owners: allocation.attachment === undefined ? [] : [allocation.attachment],
    };
}
