/**
 * Static keys as `__jump_table` shows them: where each has its branches, and whether it is on after boot.
 * Source: kernel/jump_label.c jump_label_can_update, jump_label_type; arch/x86/kernel/jump_label.c __jump_label_patch (6.12; 6.1 alike).
 */
import { JMP8_INSN_OPCODE, JMP32_INSN_OPCODE, jmpRel8, jmpRel32, NOP2, NOP5 } from '../../insn/index.ts';
import { floorIndex, isKernelText, type World } from '../world.ts';

interface KeyIndex {
  /** Offset of the key → indices of its entries in live text, ascending by code. Keys that only init text used have none. */
  readonly entries: ReadonlyMap<number, readonly number[]>;
  /** Offsets of the keys, ascending. */
  readonly keys: Uint32Array;
}

const INDEXES = new WeakMap<World, KeyIndex>();

function keyIndex(world: World): KeyIndex {
  let index = INDEXES.get(world);
  if (index === undefined) {
    const { jumpLabels, base } = world.image;
    const entries = new Map<number, number[]>();
    for (let i = 0; i < jumpLabels.count; i++) {
      const key = Number(jumpLabels.key(i) - base);
      const found = entries.get(key) ?? [];
      entries.set(key, found);
      const code = jumpLabels.code[i] as number;
      // jump_entry_is_init: text that boot has freed.
      if (isKernelText(world, code)) found.push(i);
    }
    index = { entries, keys: Uint32Array.from(entries.keys()).sort() };
    INDEXES.set(world, index);
  }
  return index;
}

/** Entries of a key in live text; undefined when no jump label names it. */
export const keyEntries = (world: World, key: number): readonly number[] | undefined =>
  keyIndex(world).entries.get(key);

/** Keys in [start, end), ascending. */
export function keysBetween(world: World, start: number, end: number): readonly number[] {
  const { keys } = keyIndex(world);
  return [...keys.subarray(floorIndex(keys, start - 1) + 1, floorIndex(keys, end - 1) + 1)];
}

/** Index of the jump label whose instruction starts at `at`. */
export function labelAt(world: World, at: number): number | undefined {
  const { code } = world.image.jumpLabels;
  const index = floorIndex(code, at);
  return code[index] === at ? index : undefined;
}

/** Index of the jump label whose instruction has this byte. */
export function labelCovering(world: World, at: number): number | undefined {
  const { code, size } = world.image.jumpLabels;
  const index = floorIndex(code, at);
  return index >= 0 && at < (code[index] as number) + (size[index] as number) ? index : undefined;
}

export const keyOf = (world: World, entry: number): number =>
  Number(world.image.jumpLabels.key(entry) - world.image.base);

/** Whether a key is on after boot, read from its first branch: a jump where `enabled` and the branch's likeliness differ. */
export function bootEnabled(world: World, key: number): boolean {
  const first = keyEntries(world, key)?.[0];
  if (first === undefined) return false;
  const { jumpLabels } = world.image;
  const opcode = world.pristine.u8(jumpLabels.code[first] as number);
  const isJump = opcode === JMP8_INSN_OPCODE || opcode === JMP32_INSN_OPCODE;
  return isJump !== jumpLabels.isBranch(first);
}

/** The instruction of one branch: two or five bytes, a jump or a NOP. */
export function labelBytes(world: World, entry: number, isEnabled: boolean): Uint8Array {
  const { jumpLabels } = world.image;
  const at = jumpLabels.code[entry] as number;
  const isShort = jumpLabels.size[entry] === 2;
  if (isEnabled === jumpLabels.isBranch(entry)) return isShort ? NOP2 : NOP5;
  const target = jumpLabels.target[entry] as number;
  return isShort ? jmpRel8(at, target) : jmpRel32(at, target);
}
