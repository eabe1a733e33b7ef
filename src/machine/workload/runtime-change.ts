import type { OpsUser, Runtime, RuntimeKprobe, RuntimeOps } from '../../registry/index.ts';

/**
 * What CPUs may meet while text changes from one state to the next. `grow`: everything of the old state is in the new one, so that they may know the new
 * one from the beginning. `shrink`: the other way round. `mixed`: neither; nobody may run while it changes.
 */
export type RuntimeChange = 'grow' | 'shrink' | 'mixed';

const sameSites = (a: Uint32Array, b: Uint32Array): boolean =>
  a === b || (a.length === b.length && a.every((site, i) => site === b[i]));

function subset(small: Uint32Array, big: Uint32Array): boolean {
  let i = 0;
  for (const site of big) if (site === small[i]) i += 1;
  return i === small.length;
}

function userCovers(big: OpsUser, small: OpsUser): boolean {
  if (big.kind === 'graph' && small.kind === 'graph')
    return small.tracers.every(({ attachment, sites }) =>
      big.tracers.some((each) => each.attachment === attachment && sameSites(each.sites, sites)),
    );
  // What is called directly may be another image of the same trampoline; both are there until nobody runs in them.
  if (big.kind === 'direct' && small.kind === 'direct') return true;
  return same(big, small);
}

function opsCover(big: readonly RuntimeOps[], small: readonly RuntimeOps[]): boolean {
  let at = 0;
  for (const ops of small) {
    const found = big.findIndex((each, i) => i >= at && each.pointer === ops.pointer);
    const other = big[found];
    if (other === undefined || other.isStub !== ops.isStub || other.isAssisted !== ops.isAssisted) return false;
    if (other.func !== ops.func || !userCovers(other.user, ops.user)) return false;
    // An empty filter is every function.
    if (ops.sites.length === 0 ? other.sites.length > 0 : !subset(ops.sites, other.sites)) return false;
    at = found + 1;
  }
  return true;
}

function kprobeCovers(big: RuntimeKprobe | undefined, small: RuntimeKprobe): boolean {
  if (big === undefined || big.isDisabled !== small.isDisabled) return false;
  const { children: more, ...rest } = big;
  const { children, ...others } = small;
  return same(rest, others) && children.every((child) => more.some((each) => same(each, child)));
}

const sameMaps = (a: Runtime['maps'], b: Runtime['maps']): boolean =>
  a === b || (a.length === b.length && a.every((map, i) => map === b[i]));

/** Plain data, compared as text; arrays of sites are compared elsewhere. */
const same = (a: unknown, b: unknown): boolean => a === b || plain(a) === plain(b);
const plain = (value: unknown): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `${each}n` : each));

/** Whether everything that `small` has is in `big`, as it is there. */
export function covers(big: Runtime, small: Runtime): boolean {
  if (big.isFtraceDead !== small.isFtraceDead || !same(big.insnRules, small.insnRules)) return false;
  // What maps hold is memory that programs share.
  if (!same(big.tailCallees, small.tailCallees) || !sameMaps(big.maps, small.maps)) return false;
  if (!same(big.silenced, small.silenced) || !same(big.breakpoints, small.breakpoints)) return false;
  const kprobes = new Map(big.kprobes.map((probe) => [probe.addr, probe]));
  const programs = new Map(big.programs.map((program) => [program.prog, program]));
  const counted = new Map(big.counted.map((code) => [code.entry, code]));
  return (
    opsCover(big.ops, small.ops) &&
    small.kprobes.every((probe) => kprobeCovers(kprobes.get(probe.addr), probe)) &&
    small.programs.every((program) => same(programs.get(program.prog), program)) &&
    small.counted.every((code) => same(counted.get(code.entry), code))
  );
}

export function runtimeChange(from: Runtime, to: Runtime): RuntimeChange {
  if (covers(to, from)) return 'grow';
  return covers(from, to) ? 'shrink' : 'mixed';
}
