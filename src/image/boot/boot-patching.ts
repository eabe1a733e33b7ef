import type { BootProfile } from '../kernel-image.ts';
import type { RawKernel } from '../raw-kernel.ts';

/** Executable ranges that boot patching writes to; `bytes` start as copies of what is on disk. */
export interface TextRangeBytes {
  readonly name: string;
  readonly start: number;
  readonly bytes: Uint8Array;
}

export interface BootInput {
  readonly kernel: RawKernel;
  readonly profile: BootProfile;
  readonly text: readonly TextRangeBytes[];
}

export interface BootResult {
  /** Patched sites by category, for progress and for the curious. */
  readonly counts: Readonly<Record<string, number>>;
  /** What the result does not claim to know. */
  readonly unknowns: readonly { readonly category: string; readonly count: number; readonly reason: string }[];
  /** What patching a module on this machine needs to know besides the profile. */
  readonly machine: BootMachine;
}

/** The machine as the kernel's own tables name it. */
export interface BootMachine {
  /** Bits of boot_cpu_data.x86_capability that are set, ascending. */
  readonly capabilities: readonly number[];
  /** Static keys that boot switched, by offset of the struct static_key. */
  readonly keyStates: ReadonlyMap<number, boolean>;
}
