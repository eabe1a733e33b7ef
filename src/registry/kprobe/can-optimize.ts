/**
 * Whether a kprobe may become a jump, and whether Linux has it on its way there: the flag that kprobes/list shows. It is set when the probe is
 * queued for the optimizer, so it follows from the state alone and not from when the optimizer ran.
 * Source: arch/x86/kernel/kprobes/opt.c can_optimize, copy_optimized_instructions, arch_check_optimized_kprobe; kernel/kprobes.c
 * optimize_kprobe (6.12; 6.1 alike).
 */
import { canBoost, decodeInsn, type Insn, JMP32_INSN_SIZE, prepareKprobeInsn } from '../../insn/index.ts';
import { KPROBE_INSNS } from '../kernels/kprobe-facts.ts';
import type { KprobeEntry } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { floorIndex, ftraceSiteIn } from '../world.ts';
import { recoveredBytes } from './recovered.ts';

const decodeAt = (txn: Txn, at: number): Insn | undefined =>
  decodeInsn(recoveredBytes(txn.world, txn.kprobeTable, txn.text, at), at);

function hasExceptionEntry(txn: Txn, at: number): boolean {
  const { exceptionTable } = txn.world.image;
  return exceptionTable[floorIndex(exceptionTable, at)] === at;
}

/** insn_jump_into_range for the bytes behind the probe's first one, the one behind the jump included. */
const jumpsInto = ({ flow, target }: Insn, addr: number): boolean =>
  (flow === 'jmp' || flow === 'jcc' || flow === 'loop') &&
  target !== undefined &&
  target > addr &&
  target <= addr + JMP32_INSN_SIZE;

/**
 * can_optimize: decodes the whole function; nothing in it may fault into it or jump into what the jump would replace. Linux leaves entry text
 * out, too, where no probe can be anyway.
 */
function isFunctionFit(txn: Txn, addr: number): boolean {
  const symbol = txn.world.image.symbols.containing(addr);
  if (symbol?.offset === undefined) return false;
  const end = symbol.offset + symbol.size;
  if (end - addr < JMP32_INSN_SIZE) return false;
  for (let at: number = symbol.offset; at < end; ) {
    const insn = hasExceptionEntry(txn, at) ? undefined : decodeAt(txn, at);
    if (insn === undefined || jumpsInto(insn, addr)) return false;
    at += insn.length;
  }
  return true;
}

/** True when some byte of [start, end] belongs to an entry of the table. */
function overlaps(starts: Uint32Array, sizes: Uint8Array, start: number, end: number): boolean {
  const index = floorIndex(starts, end);
  return index >= 0 && start < (starts[index] as number) + (sizes[index] as number);
}

/** Bytes of the whole instructions that the jump would replace; undefined when they cannot run elsewhere or are somebody's site. */
function regionSize(txn: Txn, addr: number): number | undefined {
  const { world } = txn;
  let size = 0;
  while (size < JMP32_INSN_SIZE) {
    const bytes = recoveredBytes(world, txn.kprobeTable, txn.text, addr + size);
    const copied = prepareKprobeInsn(bytes, addr + size, addr + size, { rules: world.fact(KPROBE_INSNS) });
    if (copied.kind === 'refused' && copied.fault.rule.startsWith('kprobe.copy.')) return undefined;
    const insn = decodeInsn(bytes, addr + size);
    if (insn === undefined || !canBoost(insn, hasExceptionEntry(txn, addr + size), world.fact(KPROBE_INSNS)))
      return undefined;
    size += insn.length;
  }
  const last = addr + size - 1;
  const { jumpLabels, staticCalls } = world.image;
  const isReserved =
    ftraceSiteIn(world, addr, last) !== undefined ||
    overlaps(jumpLabels.code, jumpLabels.size, addr, last) ||
    overlaps(staticCalls.site, staticCalls.size, addr, last);
  return isReserved ? undefined : size;
}

/** KPROBE_FLAG_OPTIMIZED of the probe, or the aggregate, at an address. */
export function isOptimized(txn: Txn, entry: KprobeEntry): boolean {
  if (!txn.isKprobesOptimization || entry.isFtrace || entry.isDisabled || entry.hasPostHandler) return false;
  const size = isFunctionFit(txn, entry.addr) ? regionSize(txn, entry.addr) : undefined;
  if (size === undefined) return false;
  for (let at = entry.addr + 1; at < entry.addr + size; at++)
    if (txn.kprobeTable.get(at)?.isDisabled === false) return false;
  return true;
}
