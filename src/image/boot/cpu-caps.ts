import type { RawKernel } from '../raw-kernel.ts';
import { readPointer, readString } from './kernel-memory.ts';

/** boot_cpu_data.x86_capability: the set of X86_FEATURE_* and X86_BUG_* bits that decides which alternatives apply. */
export interface CpuCaps {
  has(bit: number): boolean;
  /** The bits that are set, ascending. */
  readonly bits: readonly number[];
}

export const capsOf = (bits: ReadonlySet<number>): CpuCaps => ({
  has: (index) => bits.has(index),
  bits: [...bits].sort((a, b) => a - b),
});

const BITS_PER_WORD = 32;
const NCAPINTS = 22;
const NBUGINTS = 2;

/** Where the words of bugs begin; `NCAPINTS` follows from the size of x86_cap_flags. */
export interface CapFlags {
  readonly ncapints: number;
  /** Bit by the name in /proc/cpuinfo `flags`. */
  readonly features: ReadonlyMap<string, number>;
  /** Bit by the name in /proc/cpuinfo `bugs`. */
  readonly bugs: ReadonlyMap<string, number>;
}

/** Words of a table of `const char *` that ends where the next of its neighbours begins (arch/x86/kernel/cpu/mkcapflags.sh). */
function wordsOf(kernel: RawKernel, name: string, otherwise: number): number {
  const start = kernel.symbolOffset(name);
  if (start === undefined) return 0;
  const ends = ['x86_cap_flags', 'x86_bug_flags', 'x86_power_flags', 'x86_vmx_flags']
    .map((other) => kernel.symbolOffset(other))
    .filter((offset): offset is number => offset !== undefined && offset > start);
  const words = Math.floor((Math.min(...ends) - start) / (8 * BITS_PER_WORD));
  return Number.isFinite(words) && words > 0 && words <= 2 * otherwise ? words : otherwise;
}

function namesIn(kernel: RawKernel, symbol: string, words: number, firstBit: number): Map<string, number> {
  const names = new Map<string, number>();
  const start = kernel.symbolOffset(symbol);
  if (start === undefined) return names;
  for (let i = 0; i < words * BITS_PER_WORD; i++) {
    const pointer = readPointer(kernel, start + i * 8);
    if (pointer === undefined || pointer === null) continue;
    const name = readString(kernel, pointer);
    if (name !== undefined && name !== '') names.set(name, firstBit + i);
  }
  return names;
}

/** The names that this kernel prints in /proc/cpuinfo, read from its own tables: right for every version. */
export function readCapFlags(kernel: RawKernel): CapFlags {
  const ncapints = wordsOf(kernel, 'x86_cap_flags', NCAPINTS) || NCAPINTS;
  return {
    ncapints,
    features: namesIn(kernel, 'x86_cap_flags', ncapints, 0),
    bugs: namesIn(kernel, 'x86_bug_flags', wordsOf(kernel, 'x86_bug_flags', NBUGINTS), ncapints * BITS_PER_WORD),
  };
}
