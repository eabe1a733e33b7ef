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
}
