/**
 * What becoming a jump takes, and the text of it: detours, the jump, the way back to int3.
 * Source: arch/x86/kernel/kprobes/opt.c arch_prepare_optimized_kprobe, arch_optimize_kprobes, arch_unoptimize_kprobe,
 * arch_remove_optimized_kprobe (6.12; 6.1 alike).
 */
import { INT3_INSN_OPCODE, JMP32_INSN_SIZE, jmpRel32 } from '../../insn/index.ts';
import { generateOptprobeDetour, optprobeDetourSize } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import type { KprobeEntry, Optprobe } from '../model/state.ts';
import type { GracePeriod } from '../text-op.ts';
import type { Txn } from '../txn.ts';
import { canOptimize, copyOptimizedInstructions, isInReach } from './can-optimize.ts';
import { entryAt, firstByte, setOpt } from './entry.ts';

/** sizeof(struct optimized_kprobe), about. */
const OPTIMIZED_KPROBE_SIZE = 192;
const INT3_SIZE = 1;
const BEHIND_INT3 = 'an int3 stands in front of these bytes, and every CPU has seen it';

/** arch_prepare_optimized_kprobe: the detour, made when an aggregate is allocated; undefined where there can be no jump. */
export function prepareOptprobe(txn: Txn, addr: number): Optprobe | undefined {
  const { optprobe } = txn.world;
  if (optprobe === undefined || !canOptimize(txn, addr)) return undefined;
  const { template, callback, hasSmap } = optprobe;
  // Relative operands may reach from one place of the arena and not from another; the arena is far smaller than that.
  const trial = copyOptimizedInstructions(txn, addr, txn.arena.next);
  if (trial === undefined || !isInReach(addr, txn.arena.next)) return undefined;
  const { length } = trial;
  const op = dataObject(txn, OPTIMIZED_KPROBE_SIZE);
  const request = { size: optprobeDetourSize(template.bytes, length), what: 'kprobe_optinsn_slot' };
  const detour = install(txn, request, (at) => {
    const copied = copyOptimizedInstructions(txn, addr, at + template.bytes.length) ?? trial;
    return generateOptprobeDetour({ template, at, op, callback, hasSmap, copied, returnTo: addr + length });
  });
  return { op, detour, size: length, isOptimized: false, copied: undefined };
}

/** arch_remove_optimized_kprobe. */
export function removeOptprobe(txn: Txn, { detour }: Optprobe, after: readonly GracePeriod[]): void {
  remove(txn, detour, after);
}

const by = (attachment: string | undefined): { readonly attachment?: string } =>
  attachment === undefined ? {} : { attachment };

/** What is to be replaced. Linux does not look at it, which shows where kgdb has been: then it is whatever is there. */
function replaced(txn: Txn, at: number, bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < bytes.length; i++) if (txn.kgdb.has(at + i)) return txn.text.bytes(at, bytes.length);
  return bytes;
}

/** arch_arm_kprobe: an int3 over whatever kprobes have there. */
export function archArm(txn: Txn, addr: number): void {
  const entry = entryAt(txn, addr);
  const expected = replaced(txn, addr, Uint8Array.of(firstByte(entry)));
  txn.emit({ kind: 'byte', at: addr, expected, bytes: Uint8Array.of(INT3_INSN_OPCODE), what: 'arch_arm_kprobe' });
  txn.setEntry({ ...entry, first: 'int3' });
}

/** arch_disarm_kprobe: the byte that int3 hid. */
export function archDisarm(txn: Txn, addr: number, attachment?: string): void {
  const entry = entryAt(txn, addr);
  const expected = replaced(txn, addr, Uint8Array.of(firstByte(entry)));
  txn.emit({
    kind: 'byte',
    at: addr,
    expected,
    bytes: Uint8Array.of(entry.opcode),
    what: 'arch_disarm_kprobe',
    ...by(attachment),
  });
  txn.setEntry({ ...entry, first: 'original' });
}

const displacementOf = (addr: number, { detour }: Optprobe): Uint8Array => jmpRel32(addr, detour).subarray(INT3_SIZE);

/** Throws UnexpectedBytes, before anything is written, when text is not as the probe's state says. */
function verifyStanding(txn: Txn, entry: KprobeEntry, behind: Uint8Array): void {
  const { addr } = entry;
  txn.verify(addr, replaced(txn, addr, Uint8Array.of(firstByte(entry), ...behind)));
}

/** arch_optimize_kprobes for one: int3 to jump, through text_poke_bp. What the displacement will hide is kept. */
export function archOptimize(txn: Txn, addr: number, attachment?: string): void {
  const entry = entryAt(txn, addr);
  const { opt } = entry;
  if (opt === undefined) return;
  const pristine = txn.world.pristine.bytes(addr + INT3_SIZE, JMP32_INSN_SIZE - INT3_SIZE);
  verifyStanding(txn, entry, pristine);
  const expected = txn.text.bytes(addr, JMP32_INSN_SIZE);
  const bytes = jmpRel32(addr, opt.detour);
  txn.emit({ kind: 'poke', at: addr, expected, bytes, what: 'arch_optimize_kprobes', ...by(attachment) });
  setOpt(txn, addr, { copied: expected.subarray(INT3_SIZE) }, { first: 'jump' });
}

/** A breakpoint of kgdb's was copied with the instructions and comes back after it was removed: nobody owns that byte. */
function noteStrayBreakpoints(txn: Txn, at: number, copied: Uint8Array): void {
  for (const [i, byte] of copied.entries()) {
    const isStray = byte !== txn.world.pristine.u8(at + i) && !txn.kgdb.has(at + i);
    if (isStray) txn.kgdb.set(at + i, { attachment: undefined, saved: byte, isPresent: false });
  }
}

/** arch_unoptimize_kprobe: int3 over the jump, sync, then the four bytes behind it, sync. */
export function archUnoptimize(txn: Txn, addr: number, attachment?: string): void {
  const entry = entryAt(txn, addr);
  const { opt } = entry;
  if (opt?.copied === undefined) return;
  const what = 'arch_unoptimize_kprobe';
  const displacement = displacementOf(addr, opt);
  verifyStanding(txn, entry, displacement);
  const first = replaced(txn, addr, Uint8Array.of(firstByte(entry)));
  txn.emit({
    kind: 'byte',
    at: addr,
    expected: first,
    bytes: Uint8Array.of(INT3_INSN_OPCODE),
    what,
    ...by(attachment),
  });
  const behind = addr + INT3_SIZE;
  const expected = replaced(txn, behind, displacement);
  txn.emit({
    kind: 'byte',
    at: behind,
    expected,
    bytes: opt.copied,
    what,
    notExecuting: BEHIND_INT3,
    ...by(attachment),
  });
  noteStrayBreakpoints(txn, behind, opt.copied);
  setOpt(txn, addr, { copied: undefined }, { first: 'int3' });
}
