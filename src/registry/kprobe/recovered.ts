/**
 * Instructions as they were before probes and ftrace touched them.
 * Source: arch/x86/kernel/kprobes/core.c __recover_probed_insn, can_probe; opt.c __recover_optprobed_insn (6.12; 6.1 alike).
 */
import type { ReadableText } from '../../base/index.ts';
import { JMP32_INSN_SIZE, NOP5 } from '../../insn/index.ts';
import type { KernelState } from '../model/state.ts';
import { ftraceSiteIn, MCOUNT_INSN_SIZE, type World } from '../world.ts';

const MAX_INSN_SIZE = 15;

/** Puts back what the jump of an optimized kprobe hides from `offset` on. False when there is none. */
function recoverOptprobed(table: KernelState['kprobeTable'], offset: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < JMP32_INSN_SIZE; i++) {
    const entry = table.get(offset - i);
    const copied = entry?.opt?.copied;
    if (entry === undefined || copied === undefined) continue;
    const hidden = i === 0 ? Uint8Array.of(entry.opcode, ...copied) : copied.subarray(i - 1);
    bytes.set(hidden.subarray(0, bytes.length));
    return true;
  }
  return false;
}

/**
 * The bytes at `offset` with jumps and int3 of kprobes replaced by what they hide and an ftrace site by its NOP. Fewer than 15 at the end of text.
 */
export function recoveredBytes(
  world: World,
  table: KernelState['kprobeTable'],
  text: ReadableText,
  offset: number,
): Uint8Array {
  let length = MAX_INSN_SIZE;
  while (length > 0 && !text.contains(offset, length)) length -= 1;
  const bytes = text.bytes(offset, length);
  if (recoverOptprobed(table, offset, bytes)) return bytes;
  const entry = table.get(offset);
  // What a probe that is GONE hid is not what stands there now.
  if (entry !== undefined && entry.isGone !== true && !entry.isFtrace && bytes.length > 0) bytes[0] = entry.opcode;
  const site = ftraceSiteIn(world, offset, offset);
  if (site === offset && bytes.length >= MCOUNT_INSN_SIZE) bytes.set(NOP5.subarray(0, MCOUNT_INSN_SIZE));
  return bytes;
}
