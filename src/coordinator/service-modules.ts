/** What the edge sees of modules. */
import type { Holder, Result } from '../base/index.ts';
import type { Caller, CostAnswer, Page, PageRequest } from './service.ts';

export type ModuleState = 'coming' | 'live' | 'going';

export interface ModuleView {
  readonly name: string;
  readonly state: ModuleState;
  readonly client: string;
  readonly since: string;
  /** Bytes of memory it takes. */
  readonly size: number;
  readonly sha256: string;
  readonly vermagic: string | null;
  readonly license: string | null;
  readonly counts: {
    readonly symbols: number;
    readonly exports: number;
    readonly ftraceSites: number;
    readonly jumpLabels: number;
    readonly staticCalls: number;
    readonly btfFunctions: number;
  };
  /** Modules whose symbols it uses, and modules that use its. */
  readonly uses: readonly string[];
  readonly usedBy: readonly string[];
  /** Attachments that keep it from being unloaded. */
  readonly holders: readonly Holder[];
}

export interface ModuleDetails extends ModuleView {
  readonly sections: readonly {
    readonly name: string;
    readonly area: string;
    readonly address: string;
    readonly size: number;
  }[];
  /** What loading did to its text, by category. */
  readonly patched: Readonly<Record<string, number>>;
}

export interface ModuleAnswer extends ModuleDetails {
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

export interface UnloadAnswer {
  readonly name: string;
  readonly verdict: 'unloaded';
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

export interface ModuleCalls {
  modules(page: PageRequest): Result<Page<ModuleView>>;
  module(name: string): Result<ModuleDetails>;
  /** Loads a .ko, plain, .xz or .gz; `until: 'coming'` stops before its init function runs. The edge lets only administrators through. */
  loadModule(caller: Caller, file: Uint8Array, until: 'coming' | 'live'): Promise<Result<ModuleAnswer>>;
  /** A step of its life: `live` when its init function has returned, `going` when its exit function has. */
  setModuleState(caller: Caller, name: string, state: 'live' | 'going'): Promise<Result<ModuleAnswer>>;
  unloadModule(caller: Caller, name: string): Promise<Result<UnloadAnswer>>;
}
