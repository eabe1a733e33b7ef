/** What is read of the kernel, its text and who owns it. Ready for the wire. */
import type { OwnerKind, Strictness } from '../registry/index.ts';

export interface ImageView {
  readonly release: string;
  readonly source: string;
  readonly sha256: string;
  readonly base: string;
  readonly sections: readonly {
    readonly name: string;
    readonly address: string;
    readonly size: number;
    readonly executable: boolean;
    readonly writable: boolean;
  }[];
  readonly counts: {
    readonly symbols: number;
    readonly functions: number;
    readonly ftraceSites: number;
    readonly jumpLabels: number;
    readonly staticCalls: number;
    readonly blacklisted: number;
    readonly btfFunctions: number;
  };
  readonly loadMs: number;
  readonly fromCache: boolean;
  /** Name of the profile. */
  readonly profile: string;
  readonly kernel: string;
  readonly strictness: Strictness;
  readonly unknowns: readonly { readonly category: string; readonly count: number; readonly reason: string }[];
}

export interface SymbolView {
  readonly name: string;
  readonly address: string;
  readonly size: number;
  readonly type: string;
  /** The loaded module that it belongs to; null for the kernel's own. */
  readonly module: string | null;
  readonly prototype: string | null;
  readonly attachable: {
    readonly kprobe: boolean;
    readonly ftrace: boolean;
    readonly fentry: boolean;
    readonly fmodRet: boolean;
    readonly livepatch: boolean;
  };
  /** For each kind that is not possible, the reason in one sentence. */
  readonly why: Readonly<Record<string, string>>;
}

export interface TextView {
  readonly address: string;
  readonly symbol: string;
  readonly bytes: string;
  readonly original: string;
  readonly instructions: readonly {
    readonly address: string;
    readonly bytes: string;
    readonly text: string;
    readonly target: string | null;
  }[];
  readonly owners: readonly SiteOwner[];
}

export interface SiteOwner {
  readonly attachment: string;
  readonly kind: OwnerKind;
  readonly client: string;
  readonly order: number;
}

export interface SiteView {
  readonly address: string;
  readonly symbol: string;
  /** `ftrace`, `kprobe`, `jump_label`, `static_call`, `text`. */
  readonly kind: string;
  readonly original: string;
  readonly current: string;
  readonly revision: number;
  readonly owners: readonly SiteOwner[];
  readonly quarantined: boolean;
  readonly budget: Readonly<Record<string, number>>;
}

export interface PokeView {
  readonly sequence: number;
  readonly time: string;
  readonly address: string;
  readonly attachment: string | null;
  readonly client: string;
  readonly reason: string;
  readonly before: string;
  readonly after: string;
}

/** A run of bytes that one poke left as they are; `poke` null: as the kernel booted. */
export interface BlameRun {
  readonly address: string;
  readonly place: string;
  readonly current: string;
  /** What is hidden: the bytes after boot (int3 in generated code's arena). */
  readonly original: string;
  readonly poke: PokeView | null;
}

export interface BlameView {
  readonly address: string;
  readonly length: number;
  readonly runs: readonly BlameRun[];
  /** Pokes at these sites that are no longer remembered. */
  readonly forgotten: number;
}
