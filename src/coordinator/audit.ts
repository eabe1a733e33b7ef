import { toHex } from '../base/index.ts';
import { ownedBytes } from '../registry/index.ts';
import { wireAddress } from './answers.ts';
import type { Kernel } from './kernel.ts';
import type { AuditView } from './service.ts';

/** Orphans shown; the count in `differing - attributed` is exact. */
const ORPHANS_SHOWN = 100;

interface Run {
  at: number;
  expected: number[];
  actual: number[];
}

/** Collects single bytes into runs of neighbours. */
class Runs {
  readonly runs: Run[] = [];

  add(at: number, expected: number, actual: number): void {
    const last = this.runs.at(-1);
    if (last !== undefined && last.at + last.actual.length === at) {
      last.expected.push(expected);
      last.actual.push(actual);
    } else this.runs.push({ at, expected: [expected], actual: [actual] });
  }
}

/** What text was before anybody was attached: for a module, what loading made of it. */
function pristineBytes({ text, world }: Kernel, at: number, length: number): Uint8Array {
  const bytes = text.pristine.bytes(at, length);
  for (const { start, length: size } of moduleRanges(world)) {
    const from = Math.max(at, start);
    const end = Math.min(at + length, start + size);
    if (from < end) bytes.set(world.pristine.bytes(from, end - from), from - at);
  }
  return bytes;
}

const moduleRanges = (world: Kernel['world']): readonly { readonly start: number; readonly length: number }[] =>
  world.image.modules.flatMap((module) => module.pristine.ranges);

/** Runs that differ from what is behind them, and the whole text of modules, where that is nothing of theirs. Ascending. */
function runsToCheck({ text, world }: Kernel): readonly { readonly at: number; readonly length: number }[] {
  const modules = moduleRanges(world).map(({ start, length }) => ({ at: start, length }));
  const isModule = (at: number): boolean => modules.some((range) => at >= range.at && at < range.at + range.length);
  const changed = text.changedRanges().filter(({ at }) => !isModule(at));
  return [...changed, ...modules].sort((a, b) => a.at - b.at);
}

/**
 * Walks the whole text. Every byte that differs from pristine text (in the arena: from int3) must be one that an owner's state accounts for,
 * with the value that follows from that state; and every byte that an owner accounts for must be there.
 */
export function audit(kernel: Kernel): AuditView {
  const startUs = kernel.clock.monotonicUs();
  const { text, world } = kernel;
  const owned = new Map<number, number>();
  for (const piece of ownedBytes(kernel.view()))
    for (let i = 0; i < piece.bytes.length; i++) owned.set(piece.at + i, piece.bytes[i] as number);

  const orphans = new Runs();
  let differing = 0;
  let attributed = 0;
  for (const run of runsToCheck(kernel)) {
    const pristine = pristineBytes(kernel, run.at, run.length);
    const actual = text.bytes(run.at, run.length);
    for (let i = 0; i < run.length; i++) {
      if (pristine[i] === actual[i]) continue;
      differing += 1;
      const expected = owned.get(run.at + i) ?? (pristine[i] as number);
      if (expected === actual[i]) attributed += 1;
      else orphans.add(run.at + i, expected, actual[i] as number);
    }
  }
  // An owned byte that still has its pristine value although the owner's state says otherwise is as wrong as a stray one.
  for (const [at, expected] of owned) {
    const actual = text.u8(at);
    if (actual !== expected && actual === pristineBytes(kernel, at, 1)[0]) orphans.add(at, expected, actual);
  }
  const extent = text.extent();
  return {
    bytesChecked: extent.coreBytes + extent.arenaBytes,
    differing,
    attributed,
    orphans: orphans.runs.slice(0, ORPHANS_SHOWN).map((run) => ({
      address: wireAddress(world, run.at),
      length: run.actual.length,
      expected: toHex(Uint8Array.from(run.expected)),
      actual: toHex(Uint8Array.from(run.actual)),
    })),
    durationMs: (kernel.clock.monotonicUs() - startUs) / 1000,
  };
}
