import { err, invariant, ok, type Result, type TextOffset } from '../base/index.ts';
import { INT3_INSN_OPCODE } from '../insn/index.ts';
import type { KernelText } from './kernel-text.ts';
import { firstMismatch, type Poke, type PokeMismatch } from './poke-entry.ts';
import type { PokeAuthor } from './poke-history.ts';
import type { PokePhase, PokeSummary } from './poke-phase.ts';
import { fillText, writeText } from './text-alias.ts';
import { assertHeld, type TextMutexHeld } from './text-mutex.ts';
import { PAGE_SIZE } from './text-pages.ts';

/** The CPUs, as a poke that runs straight through needs them. */
export interface PokeMachine {
  /** Returns when every CPU has run a core-serialising instruction (sync_core). */
  syncCores(): void;
  /** cpu_relax: lets int3 handlers that still read a vector get on. Without it there must be none. */
  cpuRelax?(): void;
}

export interface UnsafePoke extends Poke {
  /** Required for more than one byte: why no CPU can be executing this text now. */
  readonly notExecuting?: string;
}

/**
 * text_poke: one write, atomic on its own: a single byte, or text that no CPU can be executing. Compares first, writes through the alias, reads
 * back through the text (a difference there is an invariant violated, as it is BUG in `__text_poke`), and lands in the history. Other
 * CPUs see it for certain only after {@link textPokeSync}.
 */
export function textPoke(held: TextMutexHeld, text: KernelText, poke: UnsafePoke): Result<PokeSummary, PokeMismatch> {
  assertHeld(held);
  const { at, expected, bytes, by } = poke;
  invariant(
    bytes.length === 1 || poke.notExecuting !== undefined,
    () => `text_poke of ${bytes.length} live bytes at ${at}`,
  );
  invariant(
    bytes.length <= chunkMax(at),
    () => `text_poke of ${bytes.length} bytes at ${at} spans more than two pages`,
  );
  const mismatch = firstMismatch(text, [poke]);
  if (mismatch !== undefined) return err(mismatch);
  pokeBytes(held, text, at, bytes);
  text.history.append(at, expected, bytes, by);
  return ok(ONE_POKE);
}

/** text_poke_sync: one IPI round. */
export function textPokeSync(machine: PokeMachine): void {
  machine.syncCores();
}

/** text_poke and its sync as phases: how a kprobe is armed and disarmed (arch_arm_kprobe, arch/x86/kernel/kprobes/core.c, 6.12). */
export function* textPokeThenSync(
  held: TextMutexHeld,
  text: KernelText,
  poke: UnsafePoke,
): Generator<PokePhase, Result<PokeSummary, PokeMismatch>, undefined> {
  const written = textPoke(held, text, poke);
  if (!written.ok) return written;
  const summary = { ...written.value, syncRounds: 1 };
  yield { kind: 'poke', at: poke.at };
  yield { kind: 'sync', after: 'poke' };
  yield { kind: 'done', summary };
  return ok(summary);
}

/** text_poke_copy: code into unused arena. Refuses anything else, core text above all: nobody may be executing there. */
export function textPokeCopy(
  held: TextMutexHeld,
  text: KernelText,
  copy: { readonly at: TextOffset; readonly bytes: Uint8Array; readonly by: PokeAuthor },
): PokeSummary {
  assertHeld(held);
  const { at, by } = copy;
  const bytes = copy.bytes.slice();
  assertArena(text, at, bytes.length);
  const before = text.bytes(at, bytes.length);
  writeBehindEveryone(held, text, at, bytes);
  text.history.append(at, before, bytes, by);
  return ONE_POKE;
}

/** The stores of text_poke_copy, a piece at a time, each read back. For this room: nothing lands in the history. */
export function writeBehindEveryone(held: TextMutexHeld, text: KernelText, at: number, bytes: Uint8Array): void {
  assertArena(text, at, bytes.length);
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(chunkMax(at + done), bytes.length - done);
    pokeBytes(held, text, at + done, bytes, done, done + length);
    done += length;
  }
}

/** text_poke_set: one byte over a piece of arena, 0xCC where generated code is freed. Not read back, as in Linux. */
export function textPokeSet(
  held: TextMutexHeld,
  text: KernelText,
  set: { readonly at: TextOffset; readonly length: number; readonly byte?: number; readonly by: PokeAuthor },
): PokeSummary {
  assertHeld(held);
  const { at, length, by } = set;
  const byte = set.byte ?? INT3_INSN_OPCODE;
  assertArena(text, at, length);
  const before = text.bytes(at, length);
  fillText(held, text, at, length, byte);
  text.history.append(at, before, text.bytes(at, length), by);
  return ONE_POKE;
}

/**
 * __text_poke with text_poke_memcpy: writes bytes [from, to) of `bytes`, then compares through the address that CPUs read. For this room.
 */
export function pokeBytes(
  held: TextMutexHeld,
  text: KernelText,
  at: number,
  bytes: Uint8Array,
  from = 0,
  to = bytes.length,
): void {
  writeText(held, text, at, bytes, from, to);
  invariant(text.equals(at, bytes, from, to), () => `text at ${at} is not what was just written`);
}

const ONE_POKE: PokeSummary = Object.freeze({ pokes: 1, batches: 0, syncRounds: 0 });

/** The alias maps two pages. */
const chunkMax = (at: number): number => 2 * PAGE_SIZE - (at % PAGE_SIZE);

function assertArena(text: KernelText, at: number, length: number): void {
  const { start, end } = text.arena;
  invariant(length > 0 && at >= start && at + length <= end, () => `[${at}, +${length}) is not in the arena`);
}
