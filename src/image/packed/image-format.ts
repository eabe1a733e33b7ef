import type { BootProfile, KernelImage, KernelVersion } from '../kernel-image.ts';
import type { ModuleMeta } from '../module/kernel-support.ts';
import type { PackedTemplate } from '../tables/optprobe-template.ts';

/** Goes up when the shape of what is stored changes: files of another version are not read. (How it is computed is watched by cache.ts.) */
export const FORMAT_VERSION = 4;

/** The JSON part of a packed image. Addresses are hex strings, offsets count from `_text`. */
export interface ImageMeta {
  readonly release: string;
  readonly version: KernelVersion;
  readonly base: string;
  /** Offset behind the last byte of the image. */
  readonly end: number;
  readonly sha256: string;
  readonly profile: BootProfile;
  readonly sections: readonly {
    readonly name: string;
    readonly address: string;
    readonly size: number;
    readonly executable: boolean;
    readonly writable: boolean;
  }[];
  /** Executable ranges; the bytes of range i are column `text.i`. */
  readonly text: readonly { readonly name: string; readonly start: number }[];
  readonly blacklistRanges: readonly { readonly name: string; readonly start: number; readonly end: number }[];
  readonly optprobeTemplate?: PackedTemplate;
  readonly unknowns: KernelImage['unknowns'];
  /** Patched sites by category, as boot patching counted them. */
  readonly bootCounts: Readonly<Record<string, number>>;
  /** Number of FUNCs; undefined when there is no .BTF. */
  readonly btfCount?: number;
  readonly module: ModuleMeta;
}

/** Steps of a cold load, in order, as progress shows them. */
export const BUILD_STEPS = ['unpack', 'symbols', 'tables', 'boot patching', 'types', 'pack'] as const;
