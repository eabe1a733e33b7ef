import type { BootProfile } from '../kernel-image.ts';
import type { RawKernel } from '../raw-kernel.ts';
import type { BootText } from './boot-text.ts';
import type { Cmdline } from './cmdline.ts';
import type { CpuCaps } from './cpu-caps.ts';
import type { CpuInfo } from './cpuinfo.ts';
import type { Mitigations } from './mitigations.ts';

/** What every pass sees: the kernel on disk, its text as far as boot has come, and the machine. */
export interface BootContext {
  readonly kernel: RawKernel;
  readonly text: BootText;
  readonly profile: BootProfile;
  readonly cmdline: Cmdline;
  readonly cpu: CpuInfo;
  readonly caps: CpuCaps;
  readonly mitigations: Mitigations;
  readonly report: BootReport;
  /** Offset of the n-th page that takes ITS thunks; undefined while the kernel itself boots, which takes the first ones. */
  readonly thunkPage?: (index: number) => number;
}

/** Collects what the passes did and what they cannot know. */
export interface BootReport {
  count(category: string, sites?: number): void;
  unknown(category: string, count: number, reason: string): void;
}

/** True from that version on. */
export function isAtLeast(kernel: RawKernel, major: number, minor: number): boolean {
  return kernel.version.major > major || (kernel.version.major === major && kernel.version.minor >= minor);
}
