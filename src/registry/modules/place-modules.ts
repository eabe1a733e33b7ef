/** Where a module's memory goes. */
import type { KernelState } from '../model/state.ts';
import { MODULES_START } from '../world.ts';

const PAGE_SIZE = 4096;
/** MODULES_END is 0xffffffffff000000. */
const MODULES_END = 0xffff_ffff_ff00_0000n;
/** PERCPU_MODULE_RESERVE comes behind the kernel's own variables. */
const PER_CPU_END = '__per_cpu_end';
const PER_CPU_DEFAULT = 0x40000n;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** No room is left. Caught where loading begins. */
export class NoRoom extends Error {}

/** The lowest free pages, with a guard page behind each piece as vmalloc leaves one: the same modules in the same order lie at the same addresses. */
export function modulePlaces(modules: KernelState['modules'], base: bigint): (size: number) => number {
  const taken: Range[] = modules.flatMap(({ image }) =>
    image.areas.map(({ start, size }) => ({ start, end: start + size + PAGE_SIZE })),
  );
  const limit = Number(MODULES_END - base);
  return (size) => {
    taken.sort((a, b) => a.start - b.start);
    let at = MODULES_START;
    for (const { start, end } of taken) {
      if (at + size + PAGE_SIZE <= start) break;
      at = Math.max(at, end);
    }
    if (at + size > limit) throw new NoRoom();
    taken.push({ start: at, end: at + size + PAGE_SIZE });
    return at;
  };
}

/** Behind the kernel's per-CPU variables and those of other modules. */
export function perCpuPlace(modules: KernelState['modules'], symbol: (name: string) => bigint | undefined): bigint {
  let at = symbol(PER_CPU_END) ?? PER_CPU_DEFAULT;
  for (const { image } of modules) {
    const end = image.perCpu.address + BigInt(Math.ceil(image.perCpu.size / 64) * 64);
    if (image.perCpu.size > 0 && end > at) at = end;
  }
  return at;
}
