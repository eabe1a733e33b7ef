import { invariant } from '../../base/index.ts';
import { INT3_INSN_OPCODE, JMP32_INSN_OPCODE, jmpRel32 } from '../../insn/index.ts';
import type { KprobeEntry, Optprobe } from '../model/state.ts';
import type { Txn } from '../txn.ts';

export function entryAt(txn: Txn, addr: number): KprobeEntry {
  const entry = txn.kprobeTable.get(addr);
  invariant(entry !== undefined, () => `no kprobe at ${txn.place(addr)}`);
  return entry;
}

/** The byte at the probe's address, as far as kprobes put it there. */
export function firstByte({ first, opcode }: KprobeEntry): number {
  if (first === 'original') return opcode;
  return first === 'int3' ? INT3_INSN_OPCODE : JMP32_INSN_OPCODE;
}

/** What a probe in a body has in text; undefined while nothing. An int3 may stand in front of a jump's displacement. */
export function standingBytes(entry: KprobeEntry): Uint8Array | undefined {
  if (entry.first === 'original') return undefined;
  if (entry.opt?.copied === undefined) return Uint8Array.of(firstByte(entry));
  const bytes = jmpRel32(entry.addr, entry.opt.detour);
  bytes[0] = firstByte(entry);
  return bytes;
}

/** Another value of the optprobe's part; the probe must have one. */
export function setOpt(txn: Txn, addr: number, change: Partial<Optprobe>, more: Partial<KprobeEntry> = {}): void {
  const entry = entryAt(txn, addr);
  invariant(entry.opt !== undefined, () => `the kprobe at ${txn.place(addr)} has no detour`);
  txn.setEntry({ ...entry, ...more, opt: { ...entry.opt, ...change } });
}
