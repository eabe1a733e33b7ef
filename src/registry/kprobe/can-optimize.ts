/**
 * Whether a kprobe may become a jump: what can be said of the text around it, whoever else is there.
 * Source: arch/x86/kernel/kprobes/opt.c can_optimize, copy_optimized_instructions, insn_is_indirect_jump (6.12 and 6.1).
 */
import {
  canBoost,
  copyKprobeInsn,
  decodeInsn,
  fitsS32,
  type Insn,
  JMP32_INSN_SIZE,
  modrmMod,
  modrmReg,
} from '../../insn/index.ts';
import { INDIRECT_JUMPS_IN_FUNCTION, KPROBE_INSNS } from '../kernels/kprobe-facts.ts';
import { hasHitBreak } from '../kgdb/breakpoints.ts';
import type { Txn } from '../txn.ts';
import { floorIndex, ftraceSiteIn, hasExceptionEntry } from '../world.ts';
import { recoveredBytes } from './recovered.ts';

/** MAX_OPTIMIZED_LENGTH: four bytes of short instructions, then the longest there is. */
export const MAX_OPTIMIZED_LENGTH = 19;

const GROUP5_OPCODE = 0xff;
const MOD_REGISTER = 3;

const decodeAt = (txn: Txn, at: number): Insn | undefined =>
  decodeInsn(recoveredBytes(txn.world, txn.kprobeTable, txn.text, at), at);

/** insn_jump_into_range: a direct jump to [start, start + length], the byte behind the range included. */
const jumpsInto = ({ flow, target }: Insn, start: number, length: number): boolean =>
  (flow === 'jmp' || flow === 'jcc' || flow === 'loop') &&
  target !== undefined &&
  target >= start &&
  target <= start + length;

/**
 * insn_is_indirect_jump. Before 6.6 any indirect jump, and any jump to a thunk of one, keeps the whole function from being optimized; since then
 * kernels with retpolines or IBT skip the check, because they have no jump tables. A jump through memory is such a table all the same: no
 * real kernel with retpolines has one in C code, and one that has it would be jumped into.
 */
function isIndirectJump(txn: Txn, insn: Insn): boolean {
  const isIndirect = insn.opcodeBytes === 1 && insn.opcode === GROUP5_OPCODE && (modrmReg(insn.modrm) & 6) === 4;
  if (txn.world.fact(INDIRECT_JUMPS_IN_FUNCTION) === 'through memory')
    return isIndirect && modrmMod(insn.modrm) !== MOD_REGISTER;
  const thunks = txn.world.indirectThunks;
  return isIndirect || (thunks !== undefined && jumpsInto(insn, thunks.start, thunks.end - thunks.start));
}

/**
 * can_optimize: decodes the whole function; nothing in it may fault into it or jump into what the jump would replace. Linux leaves entry text
 * out, too, where no probe can be anyway.
 */
export function canOptimize(txn: Txn, addr: number): boolean {
  const symbol = txn.world.image.symbols.containing(addr);
  if (symbol?.offset === undefined) return false;
  const end = symbol.offset + symbol.size;
  if (end - addr < JMP32_INSN_SIZE) return false;
  for (let at: number = symbol.offset; at < end; ) {
    const insn = hasExceptionEntry(txn.world, at) ? undefined : decodeAt(txn, at);
    if (insn === undefined || hasHitBreak(txn, at)) return false;
    if (isIndirectJump(txn, insn) || jumpsInto(insn, addr + 1, JMP32_INSN_SIZE - 1)) return false;
    at += insn.length;
  }
  return true;
}

/** True when some byte of [start, end] belongs to an entry of the table. */
function overlaps(starts: Uint32Array, sizes: Uint8Array, start: number, end: number): boolean {
  const index = floorIndex(starts, end);
  return index >= 0 && start < (starts[index] as number) + (sizes[index] as number);
}

/**
 * copy_optimized_instructions: the whole instructions that the jump would replace, relocated to `to`; undefined when they cannot run elsewhere
 * or some byte of them is somebody's site.
 */
export function copyOptimizedInstructions(txn: Txn, addr: number, to: number): Uint8Array | undefined {
  const { world } = txn;
  const copied = new Uint8Array(MAX_OPTIMIZED_LENGTH);
  let size = 0;
  while (size < JMP32_INSN_SIZE) {
    const bytes = recoveredBytes(world, txn.kprobeTable, txn.text, addr + size);
    const one = copyKprobeInsn(bytes, addr + size, to + size);
    if (one === undefined || !canBoost(one.insn, hasExceptionEntry(world, addr + size), world.fact(KPROBE_INSNS)))
      return undefined;
    copied.set(one.copy, size);
    size += one.copy.length;
  }
  const last = addr + size - 1;
  const { jumpLabels, staticCalls } = world.image;
  const isReserved =
    ftraceSiteIn(world, addr, last) !== undefined ||
    overlaps(jumpLabels.code, jumpLabels.size, addr, last) ||
    overlaps(staticCalls.site, staticCalls.size, addr, last);
  return isReserved ? undefined : copied.slice(0, size);
}

/** A jump has a displacement of 32 bits. */
export const isInReach = (addr: number, detour: number): boolean => fitsS32(detour - (addr + JMP32_INSN_SIZE));
