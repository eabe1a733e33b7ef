import type { ModuleImage } from '../../image/index.ts';

/** What a module was made of: the same file in the same kernel at the same places is the same module. */
export interface ModuleOrigin {
  /** The unpacked .ko. */
  readonly file: Uint8Array;
  /** Where its pages went, in the order in which they were asked for. */
  readonly places: readonly number[];
  readonly perCpu: bigint;
}

/** struct module of a loaded module. */
export interface LoadedModule {
  readonly name: string;
  /** `coming` until its init function has returned, `going` from its exit function on. */
  readonly state: 'coming' | 'live' | 'going';
  /** What is in the kernel's memory of it: without what only init needed once it is live. */
  readonly image: ModuleImage;
  readonly origin: ModuleOrigin;
  readonly client: string;
  readonly tenant: string;
  readonly sinceMs: number;
  readonly sequence: number;
}
