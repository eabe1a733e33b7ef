/**
 * From what the caller names to the address the probe goes to.
 * Source: kernel/kprobes.c _kprobe_addr; arch/x86/kernel/kprobes/core.c arch_adjust_kprobe_addr (6.12; 6.1 alike).
 */
import { err, formatAddress, ok, type Result } from '../../base/index.ts';
import { isEndbr } from '../../insn/index.ts';
import { locate, type Place } from '../place.ts';
import { KPROBE_ADDRESS_UNKNOWN, KPROBE_NOT_TEXT } from '../rules/kprobe.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';

export interface KprobeAddress {
  readonly addr: number;
  readonly isFunctionEntry: boolean;
}

const ENDBR_SIZE = 4;

/** Code of programs and their trampolines is in kallsyms, where ftrace's own trampolines are not: it is found, and is no kernel text (recorded). */
const isBpfCode = (txn: Txn, at: number): boolean =>
  !txn.world.pristine.contains(at, 1) &&
  txn.arena.allocations.some((each) => each.what.startsWith('bpf_') && at >= each.at && at < each.at + each.size);

export function kprobeAddress(txn: Txn, place: Place): Result<KprobeAddress> {
  const { symbols } = txn.world.image;
  const named = place.kind === 'symbol' ? place.name : formatAddress(place.address);
  const wanted = locate(txn.world, place);
  const symbol = wanted === undefined ? undefined : symbols.containing(wanted);
  if (wanted !== undefined && isBpfCode(txn, wanted))
    return err(refuse(KPROBE_NOT_TEXT, { detail: `${named} is code of a BPF program's.`, place: named }));
  if (wanted === undefined || symbol?.offset === undefined) {
    const near = place.kind === 'symbol' ? symbols.near(place.name, 3) : [];
    return err(
      refuse(KPROBE_ADDRESS_UNKNOWN, {
        detail: `${named} is not in the kernel's symbol table.`,
        place: named,
        ...(near.length > 0 ? { remedies: [`Did you mean ${near.join(', ')}?`] } : {}),
      }),
    );
  }
  if (!txn.text.contains(symbol.offset, ENDBR_SIZE))
    return err(
      refuse(KPROBE_NOT_TEXT, { detail: `${txn.place(wanted)} is not kernel text.`, place: txn.place(wanted) }),
    );
  const offset = wanted - symbol.offset;
  if (!isEndbr(txn.text.bytes(symbol.offset, ENDBR_SIZE))) return ok({ addr: wanted, isFunctionEntry: offset === 0 });
  const isFunctionEntry = offset === 0 || offset === ENDBR_SIZE;
  return ok({ addr: isFunctionEntry ? symbol.offset + ENDBR_SIZE : wanted, isFunctionEntry });
}
