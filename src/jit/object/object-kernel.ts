import type { Btf, KernelVersion } from '../../image/index.ts';

/** What an object asks of the kernel that it is loaded into. */
export interface ObjectKernel {
  /** Undefined: the image has no types, and nothing can be relocated against them. */
  readonly btf: Btf | undefined;
  readonly version: KernelVersion;
  /** CPUs that there may be: what a perf event array has that names no size (map_set_def_max_entries). */
  readonly cpus: number;
  /** All symbols of that name. */
  addressesOf(name: string): readonly bigint[];
}
