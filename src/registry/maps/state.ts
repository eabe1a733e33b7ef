import type { Map as ImmutableMap } from 'immutable';
import type { MapSpec } from '../../jit/index.ts';

/** A map, struct bpf_map with all that it holds. */
export interface BpfMap {
  readonly id: string;
  /** The id that bpftool shows: counted from 1. */
  readonly number: number;
  /** Without its initial contents, which are in `pages`. */
  readonly spec: MapSpec;
  readonly client: string;
  readonly tenant: string;
  readonly sinceMs: number;
  /** Of the map; its memory begins there, too, and is never given to another. */
  readonly address: bigint;
  /** Its memory: pages of 4 KiB by number; what is not there is zeroes. A page is replaced, never changed. */
  readonly pages: ImmutableMap<number, Uint8Array>;
}

/** A map as a program knows it that was loaded with it. */
export interface ProgramMap {
  readonly id: string;
  readonly address: bigint;
  readonly spec: MapSpec;
}
