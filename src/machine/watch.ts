import { invariant } from '../base/index.ts';
import { decodeInsn, JMP32_INSN_SIZE, jmpRel32, MAX_INSN_SIZE, NOP5 } from '../insn/index.ts';
import { HYPERCALL, SLOTS_START } from './layout.ts';
import type { Overlay } from './machine-text.ts';
import type { RuntimeIndex, WatchedCode } from './runtime-index.ts';

const SLOT_SIZE = 32;
const CALL = 0xe8;
const JMP = 0xe9;

/** Generated code whose entry the machine wants to see, as a kprobe would: a hypercall over its first instructions, a slot that has them. */
export interface Watched {
  readonly code: WatchedCode;
  /** Address of the slot: the displaced instructions, and a jump behind them. */
  readonly slot: bigint;
  /** Of counting code: instructions from the entry to the return, both included; the slot's jump is none of them. Else 0. */
  readonly instructions: number;
}

export interface Watches {
  readonly overlays: readonly Overlay[];
  /** By offset of the entry. */
  readonly byEntry: ReadonlyMap<number, Watched>;
  /** Attachments that switched-off ftrace keeps from running, by offset of the site, which has a NOP. */
  readonly silenced: ReadonlyMap<number, readonly string[]>;
  /** What is to be mapped at SLOTS_START. */
  readonly slots: Uint8Array;
}

type ReadBytes = (offset: number, length: number) => Uint8Array;

/** Counting code has no branch but its return. */
function instructionsOf(read: ReadBytes, entry: number): number {
  let count = 0;
  for (let at = entry; count < 64; count++) {
    const insn = decodeInsn(read(at, MAX_INSN_SIZE), at);
    if (insn === undefined || insn.flow === 'ret' || insn.flow === 'jmp') return count + 1;
    at += insn.length;
  }
  return count;
}

/** Whole instructions that make room for a hypercall. */
function displacedLength(read: ReadBytes, entry: number): number {
  let length = 0;
  while (length < HYPERCALL.length) {
    const insn = decodeInsn(read(entry + length, MAX_INSN_SIZE), entry + length);
    invariant(insn !== undefined, 'code that we generated decodes');
    length += insn.length;
  }
  return length;
}

const isNop5 = (bytes: Uint8Array): boolean => Buffer.compare(bytes, NOP5) === 0;

/** The displaced instructions for the slot. A call of a trampoline or a jump to an extension, which may be the first, keeps its target. */
function displaced(read: ReadBytes, entry: number, length: number, slot: number): Uint8Array {
  const bytes = read(entry, length).slice();
  const [opcode] = bytes;
  if (opcode !== CALL && opcode !== JMP) return bytes;
  const displacement = new DataView(bytes.buffer, 1, 4);
  displacement.setInt32(0, displacement.getInt32(0, true) + entry - slot, true);
  return bytes;
}

/** Watches over all counting code that nothing else announces, and over the sites of silenced owners. `read` reads text without overlays. */
export function watchCounted(index: RuntimeIndex, read: ReadBytes, slotsStart = SLOTS_START): Watches {
  const overlays: Overlay[] = [];
  const byEntry = new Map<number, Watched>();
  const slots = new Uint8Array(index.counted.size * SLOT_SIZE).fill(0xcc);
  const isCounting = new Set(index.runtime.counted.map(({ entry }) => entry));
  let used = 0;
  for (const [entry, code] of index.counted) {
    const length = displacedLength(read, entry);
    const slot = slotsStart + BigInt(used);
    const back = index.offset(slot) + length;
    slots.set(displaced(read, entry, length, index.offset(slot)), used);
    slots.set(jmpRel32(back, entry + length).subarray(0, JMP32_INSN_SIZE), used + length);
    used += SLOT_SIZE;
    overlays.push({ at: entry, bytes: HYPERCALL });
    byEntry.set(entry, { code, slot, instructions: isCounting.has(entry) ? instructionsOf(read, entry) : 0 });
  }
  const silenced = new Map<number, readonly string[]>();
  for (const { at, attachments } of index.runtime.silenced) {
    if (attachments.length === 0 || !isNop5(read(at, NOP5.length))) continue;
    overlays.push({ at, bytes: HYPERCALL });
    silenced.set(at, attachments);
  }
  return { overlays, byEntry, silenced, slots };
}
