import type { KernelVersion } from '../../image/index.ts';

/** Versions whose rules are built, oldest first. */
export const BUILT_KERNELS = ['5.15', '6.1', '6.6', '6.12', '6.18'] as const;
export type RulesKernel = (typeof BUILT_KERNELS)[number];

/** How the answers of each version are known. */
export const EVIDENCE: Readonly<Record<RulesKernel, string>> = {
  '5.15':
    'not recorded: the sources of 6.1 and the changes that lie between (commits named by each fact). What only a 5.15 could tell is unknown.',
  '6.1': 'recorded on Debian 6.1.192, and its source.',
  '6.6':
    'not recorded: where 6.1 and 6.12 agree it stands between them; where they differ, the release or the 6.6-stable review mail that brought the change.',
  '6.12': 'recorded on Debian 6.12.117, and its source.',
  '6.18': 'not recorded: the source of 6.12.117 and the changes since (commits named by each fact).',
};

/** A point release that is later than any: what a branch has become, as far as is known. */
export const LATEST_PATCH = 9_999;

function order(version: string): readonly [number, number, number] {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  return [major, minor, patch];
}

/** True when `version` is `since` or later. */
export function isAtLeast(version: KernelVersion, since: string): boolean {
  const [major, minor, patch] = order(since);
  if (version.major !== major) return version.major > major;
  if (version.minor !== minor) return version.minor > minor;
  return version.patch >= patch;
}

/** Whose rules decide for a kernel of this version: those of the nearest built one at or below it; older ones get the oldest. */
export function rulesKernel(version: KernelVersion): RulesKernel {
  return BUILT_KERNELS.findLast((built) => isAtLeast(version, built)) ?? BUILT_KERNELS[0];
}

/** A branch at its latest point release. */
export function latestOf(kernel: RulesKernel): KernelVersion {
  const [major, minor] = order(kernel);
  return { major, minor, patch: LATEST_PATCH };
}
