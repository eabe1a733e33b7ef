/**
 * The jumps of a program while it is compiled: where each stands in the code without jumps, and where it leads. A jump takes 2 bytes when
 * it leads no further than a signed byte says, else 5 (6 with a condition); one to the next instruction takes none.
 */
export interface Jumps {
  readonly count: number;
  /** Where each stands, counted without jumps, ascending. */
  readonly at: Int32Array;
  /** The slot that it leads to. */
  readonly to: Int32Array;
  /** Opcode of the short form with a condition; 0 is unconditional. */
  readonly condition: Uint8Array;
}

/** Positions of slots, counted without jumps, and how many jumps stand before each. */
export interface SlotPositions {
  readonly at: Int32Array;
  readonly jumpsBefore: Int32Array;
}

/**
 * Longest forward jump that becomes a short one. Short of 127, because a jump that grows moves another that crosses it: with this limit the
 * kernel's passes are sure to end (is_imm8_jmp_offset, arch/x86/net/bpf_jit_comp.c, 6.12), and so that the two agree it is ours.
 */
const SHORT_FORWARD_MAX = 123;
const SHORT_BACKWARD_MAX = -128;

function sizeOf(condition: number, distance: number): number {
  if (condition === 0 && distance === 0) return 0;
  const isShort = distance <= SHORT_FORWARD_MAX && distance >= SHORT_BACKWARD_MAX;
  return isShort ? 2 : condition === 0 ? 5 : 6;
}

/**
 * Bytes that jumps take before each jump (one more element for all): starts with every jump at its longest and shortens until nothing
 * changes. A jump only ever shrinks, so this ends, in few rounds.
 */
export function relaxJumps(jumps: Jumps, slots: SlotPositions): Int32Array {
  const { count, at, to, condition } = jumps;
  const size = new Uint8Array(count);
  const before = new Int32Array(count + 1);
  for (let jump = 0; jump < count; jump++) size[jump] = condition[jump] === 0 ? 5 : 6;
  for (let changed = true; changed; ) {
    changed = false;
    let sum = 0;
    for (let jump = 0; jump < count; jump++) {
      before[jump] = sum;
      sum += size[jump] as number;
    }
    before[count] = sum;
    for (let jump = 0; jump < count; jump++) {
      const target = to[jump] as number;
      const end = (at[jump] as number) + (before[jump + 1] as number);
      const distance = (slots.at[target] as number) + (before[slots.jumpsBefore[target] as number] as number) - end;
      const now = sizeOf(condition[jump] as number, distance);
      if (now < (size[jump] as number)) {
        size[jump] = now;
        changed = true;
      }
    }
  }
  return before;
}
