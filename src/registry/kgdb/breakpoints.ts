/**
 * Software breakpoints of kgdb: an int3 by a plain text write that asks no other owner of text, and the saved byte written back blindly.
 * Source: kernel/debug/debug_core.c dbg_set_sw_break, kgdb_validate_break_address, kgdb_has_hit_break; arch/x86/kernel/kgdb.c
 * kgdb_arch_set_breakpoint, kgdb_arch_remove_breakpoint (6.12; 6.1 alike).
 */
import { invariant } from '../../base/index.ts';
import { INT3_INSN_OPCODE } from '../../insn/index.ts';
import { firstByte } from '../kprobe/entry.ts';
import type { KgdbBreakpoint } from '../model/state.ts';
import type { Txn } from '../txn.ts';

export const KGDB_MAX_BREAKPOINTS = 1000;

const INT3 = Uint8Array.of(INT3_INSN_OPCODE);

/** kgdb_has_hit_break: an active breakpoint of kgdb's stands there. */
export const hasHitBreak = (txn: Txn, addr: number): boolean => txn.kgdb.get(addr)?.attachment !== undefined;

export const breakpointCount = (txn: Txn): number => txn.kgdb.count((each) => each.attachment !== undefined);

export function setBreakpoint(txn: Txn, addr: number, attachment: string): void {
  const saved = txn.text.u8(addr);
  txn.emit({ kind: 'byte', at: addr, expected: Uint8Array.of(saved), bytes: INT3, what: 'kgdb_arch_set_breakpoint' });
  txn.kgdb.set(addr, { attachment, saved, isPresent: true });
}

/** The byte that ought to be there without the breakpoint. */
function ownersByte(txn: Txn, addr: number, { saved, isPresent }: KgdbBreakpoint): number {
  const probe = txn.kprobeTable.get(addr);
  if (probe !== undefined && probe.first !== 'original') return firstByte(probe);
  return isPresent ? saved : txn.text.u8(addr);
}

/**
 * Writes the saved byte back, whatever stands there by then. Where somebody else has written in between, that byte may be wrong: then it
 * stays in text as a leftover that nobody owns, which is answered as true.
 */
export function removeBreakpoint(txn: Txn, addr: number): boolean {
  const breakpoint = txn.kgdb.get(addr);
  invariant(breakpoint !== undefined, () => `no kgdb breakpoint at ${txn.place(addr)}`);
  const { saved } = breakpoint;
  const wanted = ownersByte(txn, addr, breakpoint);
  txn.kgdb.delete(addr);
  txn.emit({
    kind: 'byte',
    at: addr,
    expected: Uint8Array.of(txn.text.u8(addr)),
    bytes: Uint8Array.of(saved),
    what: 'kgdb_arch_remove_breakpoint',
  });
  if (saved === wanted) return false;
  txn.kgdb.set(addr, { attachment: undefined, saved, isPresent: false });
  return true;
}
