/**
 * Static calls as the image shows them: key, trampoline, inline sites, and the function that each has after boot.
 * Source: include/linux/static_call.h; kernel/static_call_inline.c static_call_init, static_call_is_init (6.12; 6.1 alike).
 */
import { JMP32_INSN_OPCODE, relTarget } from '../../insn/index.ts';
import { floorIndex, isKernelText, type World } from '../world.ts';

export interface StaticCall {
  /** Offset of the struct static_call_key. */
  readonly key: number;
  readonly name: string;
  /** Offset of `__SCT__name`. */
  readonly trampoline: number | undefined;
  /** Indices of its sites in live text, ascending. */
  readonly entries: readonly number[];
}

const KEY_PREFIX = '__SCK__';
const TRAMPOLINE_PREFIX = '__SCT__';

const INDEXES = new WeakMap<World, ReadonlyMap<number, readonly number[]>>();

function sitesByKey(world: World): ReadonlyMap<number, readonly number[]> {
  let index = INDEXES.get(world);
  if (index === undefined) {
    const { staticCalls, base } = world.image;
    const entries = new Map<number, number[]>();
    for (let i = 0; i < staticCalls.count; i++) {
      const key = Number(staticCalls.key(i) - base);
      const found = entries.get(key) ?? [];
      entries.set(key, found);
      const site = staticCalls.site[i] as number;
      if (isKernelText(world, site)) found.push(i);
    }
    index = entries;
    INDEXES.set(world, index);
  }
  return index;
}

/** The static call of that name; undefined when the kernel has none. */
export function staticCallNamed(world: World, name: string): StaticCall | undefined {
  const { symbols } = world.image;
  const key = symbols.offsetOf(KEY_PREFIX + name);
  if (key === undefined) return undefined;
  const trampoline = symbols.offsetOf(TRAMPOLINE_PREFIX + name);
  return { key, name, trampoline, entries: sitesByKey(world).get(key) ?? [] };
}

/** The static call of a key; its symbol must be there. */
export function staticCallOf(world: World, key: number): StaticCall | undefined {
  const symbol = world.image.symbols.containing(key)?.name;
  return symbol?.startsWith(KEY_PREFIX) === true ? staticCallNamed(world, symbol.slice(KEY_PREFIX.length)) : undefined;
}

export const callNameOf = (symbol: string): string =>
  symbol.startsWith(TRAMPOLINE_PREFIX) || symbol.startsWith(KEY_PREFIX)
    ? symbol.slice(TRAMPOLINE_PREFIX.length)
    : symbol;

/** Index of the inline site whose instruction has this byte. */
export function siteCovering(world: World, at: number): number | undefined {
  const { site, size } = world.image.staticCalls;
  const index = floorIndex(site, at);
  return index >= 0 && at < (site[index] as number) + (size[index] as number) ? index : undefined;
}

/** Start of the trampoline that has this byte. */
export function trampolineCovering(world: World, at: number): number | undefined {
  const { trampolines } = world.image.staticCalls;
  let low = 0;
  let high = trampolines.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((trampolines[middle]?.start ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  const range = trampolines[low - 1];
  return range !== undefined && at < range.end ? range.start : undefined;
}

/** The static call whose inline site or trampoline starts at `at`. */
export function staticCallAt(world: World, at: number): StaticCall | undefined {
  const { site } = world.image.staticCalls;
  const entry = siteCovering(world, at);
  if (entry !== undefined && site[entry] === at)
    return staticCallOf(world, Number(world.image.staticCalls.key(entry) - world.image.base));
  if (trampolineCovering(world, at) !== at) return undefined;
  const names = world.image.symbols.containing(at)?.name;
  return names?.startsWith(TRAMPOLINE_PREFIX) === true ? staticCallNamed(world, callNameOf(names)) : undefined;
}

/**
 * The function after boot: where the trampoline jumps; null when it returns. undefined when the call has no trampoline to read it from.
 */
export function bootFunction(world: World, call: StaticCall): number | null | undefined {
  const at = call.trampoline;
  if (at === undefined || !world.pristine.contains(at, 5)) return undefined;
  const bytes = world.pristine.bytes(at, 5);
  const target = bytes[0] === JMP32_INSN_OPCODE ? relTarget(bytes, at) : undefined;
  if (target === undefined) return null;
  // A return where returns go through a thunk.
  return /return_thunk$/.test(world.image.symbols.containing(target)?.name ?? '') ? null : target;
}
