import { textOffset } from '../../base/index.ts';
import { decodeInsn, INT3_INSN_OPCODE, MAX_INSN_SIZE, pokeLoc } from '../../insn/index.ts';
import type { PokeEntry } from '../../textpoke/index.ts';
import type { MachineText } from '../machine-text.ts';
import type { TextDelta } from '../text-delta.ts';

export interface TextWrite {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** How one text becomes the next while CPUs run. */
export interface TextChange {
  /** Generated code that nobody knows yet. */
  readonly installs: readonly TextWrite[];
  /** First bytes that become an int3 or stop being one: a single store each, as kprobes do it. */
  readonly singles: readonly TextWrite[];
  /** Live instructions, ascending. */
  readonly pokes: readonly PokeEntry[];
  /** Generated code that nobody enters any more; int3 where nobody is in it. */
  readonly removals: readonly TextWrite[];
}

type Bytes = ReadonlyMap<number, number>;

function bytesOf({ runs, bytes }: TextDelta): Bytes {
  const found = new Map<number, number>();
  let used = 0;
  for (let i = 0; i < runs.length; i += 2)
    for (let k = 0; k < (runs[i + 1] ?? 0); k++) found.set((runs[i] ?? 0) + k, bytes[used++] ?? 0);
  return found;
}

/** Reads a text as the delta has it, whatever is shown now. */
export function deltaReader(text: MachineText, delta: TextDelta): (at: number, length: number) => Uint8Array {
  const changed = bytesOf(delta);
  return (start, length) => Uint8Array.from({ length }, (_, i) => changed.get(start + i) ?? text.pristine(start + i));
}

interface Changed {
  readonly at: number;
  readonly old: number;
  readonly new: number;
}

function changedBytes(text: MachineText, from: Bytes, to: Bytes): readonly Changed[] {
  const changed: Changed[] = [];
  for (const at of new Set([...from.keys(), ...to.keys()])) {
    const was = from.get(at) ?? text.pristine(at);
    const is = to.get(at) ?? text.pristine(at);
    if (was !== is) changed.push({ at, old: was, new: is });
  }
  return changed.sort((a, b) => a.at - b.at);
}

/** Neighbours as one write each. */
function writes(changed: readonly Changed[]): readonly TextWrite[] {
  const runs: { at: number; bytes: number[] }[] = [];
  for (const { at, new: byte } of changed) {
    const last = runs.at(-1);
    if (last !== undefined && last.at + last.bytes.length === at) last.bytes.push(byte);
    else runs.push({ at, bytes: [byte] });
  }
  return runs.map(({ at, bytes }) => ({ at, bytes: Uint8Array.from(bytes) }));
}

const BY = { client: 'workload', kind: 'workload', reason: 'replayed' };

/** The instruction that changed at `at`, when its first byte did, and when it may be poked live. */
function entryAt(read: (texts: 'old' | 'new', at: number) => Uint8Array, at: number): PokeEntry | undefined {
  const [old, now] = [read('old', at), read('new', at)];
  const lengths = [old, now].map((bytes) => decodeInsn(bytes, at)?.length);
  const [length] = lengths;
  if (length === undefined || length !== lengths[1]) return undefined;
  const bytes = now.subarray(0, length);
  return pokeLoc(bytes, at).ok ? { at: textOffset(at), expected: old.subarray(0, length), bytes, by: BY } : undefined;
}

/**
 * Compares two texts; undefined where they cannot be changed into one another instruction by instruction.
 *
 * @param text of which both deltas are @param sites starts of instructions whose first byte may stay while its tail changes
 */
export function textChange(
  text: MachineText,
  from: TextDelta,
  to: TextDelta,
  sites: ReadonlySet<number>,
): TextChange | undefined {
  const [old, now] = [bytesOf(from), bytesOf(to)];
  const changed = changedBytes(text, old, now);
  const arena = changed.filter(({ at }) => text.isArena(at));
  // Code in the place of other code: what was there may still run.
  if (arena.some((each) => each.old !== INT3_INSN_OPCODE && each.new !== INT3_INSN_OPCODE)) return undefined;
  const read = (which: 'old' | 'new', at: number): Uint8Array =>
    Uint8Array.from(
      { length: MAX_INSN_SIZE },
      (_, i) => (which === 'old' ? old : now).get(at + i) ?? text.pristine(at + i),
    );
  const pokes: PokeEntry[] = [];
  const singles: TextWrite[] = [];
  for (const byte of changed) {
    const { at } = byte;
    if (text.isArena(at)) continue;
    const last = pokes.at(-1);
    if (last !== undefined && at < last.at + last.bytes.length) continue;
    const start = [0, 1, 2, 3, 4].map((back) => at - back).find((each) => sites.has(each)) ?? at;
    const isBreakpoint = byte.old === INT3_INSN_OPCODE || byte.new === INT3_INSN_OPCODE;
    if (start === at && isBreakpoint) {
      singles.push({ at, bytes: Uint8Array.of(byte.new) });
      continue;
    }
    const entry = entryAt(read, start);
    if (entry === undefined || at >= entry.at + entry.bytes.length) return undefined;
    pokes.push(entry);
  }
  return {
    installs: writes(arena.filter((each) => each.old === INT3_INSN_OPCODE)),
    singles,
    pokes,
    removals: writes(arena.filter((each) => each.new === INT3_INSN_OPCODE)),
  };
}
