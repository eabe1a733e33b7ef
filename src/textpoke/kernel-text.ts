import {
  bytesEqual,
  type Clock,
  invariant,
  type KernelAddress,
  type ReadableText,
  type TextOffset,
  toOffset,
} from '../base/index.ts';
import { ARENA_END, ARENA_START } from './arena.ts';
import { PokeHistory } from './poke-history.ts';
import { type PokeVector, UNPUBLISHED } from './poke-vector.ts';
import {
  arenaSegment,
  collectChangedRuns,
  coreSegment,
  PAGE_SIZE,
  readByte,
  readInto,
  type TextRun,
  type TextSegment,
} from './text-pages.ts';

/** A range of pristine text, as image/ computes it. */
export interface PristineRange {
  readonly name: string;
  readonly start: TextOffset;
  readonly bytes: Uint8Array;
}

/** What is behind a text. For this room, as {@link TextMemory} and the exports below: index.ts does not pass them on. */
export let memoryOf: (text: KernelText) => TextMemory;

/**
 * The live text of one kernel: the image's executable ranges and the arena of generated code. It can be read by everybody and written by
 * nobody who has only this: writing goes through the alias that the functions of this room keep to themselves (the kernel's poking_mm,
 * arch/x86/kernel/alternative.c `__text_poke`, 6.12).
 */
export class KernelText implements ReadableText {
  static {
    memoryOf = (text) => text.#memory;
  }

  readonly #memory: TextMemory;
  readonly base: KernelAddress;
  readonly ranges: readonly { readonly name: string; readonly start: TextOffset; readonly length: number }[];
  /** [start, end) of generated code. */
  readonly arena: { readonly start: TextOffset; readonly end: TextOffset };
  /** The text after boot-time patching, 0xCC in the arena. Reading only. */
  readonly pristine: ReadableText;
  /** Every poke that ever landed, bounded. */
  readonly history: PokeHistory;

  /** `ranges` are copied; they may abut and must not overlap each other or the arena. */
  constructor(options: {
    readonly base: KernelAddress;
    readonly ranges: readonly PristineRange[];
    readonly clock: Clock;
    readonly history?: PokeHistory;
  }) {
    const start = toOffset(options.base, ARENA_START);
    const end = toOffset(options.base, ARENA_END);
    invariant(start !== undefined && end !== undefined, 'the arena must lie within 4 GiB above _text');
    const sorted = [...options.ranges].sort((a, b) => a.start - b.start);
    const segments = [...coreSegments(sorted), arenaSegment(start, end)];
    for (const [i, segment] of segments.entries()) {
      const next = segments[i + 1];
      invariant(next === undefined || segment.end <= next.start, `text ranges overlap at offset ${segment.end}`);
    }
    this.base = options.base;
    this.ranges = sorted.map((r) => Object.freeze({ name: r.name, start: r.start, length: r.bytes.length }));
    this.arena = Object.freeze({ start, end });
    this.history = options.history ?? new PokeHistory({ clock: options.clock });
    const memory: TextMemory = {
      segments,
      recent: segments[0] ?? arenaSegment(start, end),
      vector: UNPUBLISHED,
      generation: 0,
    };
    this.#memory = memory;
    this.pristine = {
      contains: (offset, length) => findSegment(memory, offset, length) !== undefined,
      u8: (offset) => readByte(segmentOf(memory, offset, 1), offset, true),
      bytes: (offset, length) => copyOut(memory, offset, length, true),
    };
  }

  contains(offset: number, length: number): boolean {
    return findSegment(this.#memory, offset, length) !== undefined;
  }

  /** True when all of [offset, offset + length) is the image's own text: core_kernel_text (kernel/extable.c, 6.12). */
  isCore(offset: number, length: number): boolean {
    return findSegment(this.#memory, offset, length)?.isArena === false;
  }

  u8(offset: number): number {
    return readByte(segmentOf(this.#memory, offset, 1), offset, false);
  }

  /** A copy. */
  bytes(offset: number, length: number): Uint8Array {
    return copyOut(this.#memory, offset, length, false);
  }

  /** True when the text at `offset` equals bytes [from, to) of `bytes`; throws InvariantViolation outside the text. */
  equals(offset: number, bytes: Uint8Array, from = 0, to = bytes.length): boolean {
    if (to - from > 16) return bytesEqual(this.bytes(offset, to - from), bytes.subarray(from, to));
    const segment = segmentOf(this.#memory, offset, to - from);
    for (let i = from; i < to; i++) if (readByte(segment, offset + i - from, false) !== bytes[i]) return false;
    return true;
  }

  /** Every run of bytes that differs from pristine text, ascending. Looks at written pages only. */
  changedRanges(): readonly TextRun[] {
    const runs: TextRun[] = [];
    for (const segment of this.#memory.segments) collectChangedRuns(segment, runs);
    return runs;
  }

  /** Bytes of text outside the arena, and of arena pages that were ever written: what an audit walks. */
  extent(): { readonly coreBytes: number; readonly arenaBytes: number; readonly dirtyPages: number } {
    const { segments } = this.#memory;
    const core = segments.filter((s) => !s.isArena);
    const arenaPages = segments.find((s) => s.isArena)?.dirty.size ?? 0;
    return {
      coreBytes: core.reduce((sum, s) => sum + s.end - s.start, 0),
      arenaBytes: arenaPages * PAGE_SIZE,
      dirtyPages: core.reduce((sum, s) => sum + s.dirty.size, arenaPages),
    };
  }

  /** Counts the stores to this text, of whatever kind: who keeps decoded instructions knows by it when to look again. */
  get generation(): number {
    return this.#memory.generation;
  }

  /** What int3 handlers see of the poke under way (`bp_desc`); `refs` 0 when there is none. */
  get pokeVector(): PokeVector {
    return this.#memory.vector;
  }
}

export interface TextMemory {
  readonly segments: readonly TextSegment[];
  /** The segment found last: neighbouring reads are the rule. */
  recent: TextSegment;
  generation: number;
  vector: PokeVector;
}

function coreSegments(sorted: readonly PristineRange[]): readonly TextSegment[] {
  const groups: PristineRange[][] = [];
  let end = -1;
  for (const range of sorted) {
    invariant(range.start >= Math.max(end, 0), `text range ${range.name} overlaps its neighbour`);
    if (range.bytes.length === 0) continue;
    if (range.start === end) groups.at(-1)?.push(range);
    else groups.push([range]);
    end = range.start + range.bytes.length;
  }
  return groups.map((group) => coreSegment(group[0]?.start ?? 0, group));
}

function findSegment(memory: TextMemory, offset: number, length: number): TextSegment | undefined {
  const { recent } = memory;
  if (!(length >= 0)) return undefined;
  if (offset >= recent.start && offset + length <= recent.end) return recent;
  const found = memory.segments.find((s) => offset >= s.start && offset + length <= s.end);
  if (found !== undefined) memory.recent = found;
  return found;
}

export function segmentOf(memory: TextMemory, offset: number, length: number): TextSegment {
  const segment = findSegment(memory, offset, length);
  invariant(segment !== undefined && Number.isInteger(offset), () => `[${offset}, +${length}) is not text`);
  return segment;
}

function copyOut(memory: TextMemory, offset: number, length: number, pristineOnly: boolean): Uint8Array {
  const segment = segmentOf(memory, offset, length);
  const copy = new Uint8Array(length);
  readInto(segment, offset, copy, pristineOnly);
  return copy;
}
