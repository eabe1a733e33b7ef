import type { Draft } from './draft.ts';

/**
 * Longest forward jump that becomes a short one. Short of 127, because a jump that grows moves another that crosses it: with this limit the
 * kernel's passes are sure to end (is_imm8_jmp_offset, arch/x86/net/bpf_jit_comp.c, 6.12), and so that the two agree it is ours.
 */
const SHORT_FORWARD_MAX = 123;
const SHORT_BACKWARD_MAX = -128;

/** A jump takes 2 bytes when it leads no further than a signed byte says, else 5 (6 with a condition); one to the next instruction none. */
function sizeOf(condition: number, distance: number): number {
  if (condition === 0 && distance === 0) return 0;
  const isShort = distance <= SHORT_FORWARD_MAX && distance >= SHORT_BACKWARD_MAX;
  return isShort ? 2 : condition === 0 ? 5 : 6;
}

/**
 * Bytes that jumps take before each jump (one more element for all): starts with every jump at its longest and shortens until nothing
 * changes. A jump only ever shrinks, so this ends, in few rounds.
 */
export function relaxJumps(draft: Draft): Int32Array {
  const { jumps: count, jumpAt, jumpTo, jumpCondition, slotAt, slotJumps } = draft;
  const size = new Uint8Array(count);
  const before = new Int32Array(count + 1);
  for (let jump = 0; jump < count; jump++) size[jump] = jumpCondition[jump] === 0 ? 5 : 6;
  for (let changed = true; changed; ) {
    changed = false;
    let sum = 0;
    for (let jump = 0; jump < count; jump++) {
      before[jump] = sum;
      sum += size[jump] as number;
    }
    before[count] = sum;
    for (let jump = 0; jump < count; jump++) {
      const target = jumpTo[jump] as number;
      const end = (jumpAt[jump] as number) + (before[jump + 1] as number);
      const distance = (slotAt[target] as number) + (before[slotJumps[target] as number] as number) - end;
      const now = sizeOf(jumpCondition[jump] as number, distance);
      if (now < (size[jump] as number)) {
        size[jump] = now;
        changed = true;
      }
    }
  }
  return before;
}
