import type {
  BtfFunctions,
  ExportedSymbol,
  JumpLabelTable,
  KernelSymbol,
  PristineText,
  StaticCallTable,
  TextRange,
} from '../kernel-image.ts';

/** enum mod_mem_type of include/linux/module.h (6.4 and later), by the names of its members. */
export const AREA_KINDS = ['text', 'data', 'rodata', 'ro_after_init', 'init.text', 'init.data', 'init.rodata'] as const;
export type AreaKind = (typeof AREA_KINDS)[number];

export const isInitArea = (kind: AreaKind): boolean => kind.startsWith('init.');
export const isTextArea = (kind: AreaKind): boolean => kind === 'text' || kind === 'init.text';

/** Whole pages that one kind of sections of a module lies in. */
export interface ModuleArea {
  readonly kind: AreaKind;
  /** From `_text`; a multiple of the page size away from address 0. */
  readonly start: number;
  /** Whole pages. */
  readonly size: number;
  /** Relocated, and for text also patched; as long as what the sections take. */
  readonly bytes: Uint8Array;
}

export interface ModuleSection {
  readonly name: string;
  readonly area: AreaKind;
  readonly start: number;
  readonly size: number;
}

/** What of a module's tables lives as long as its text does. Offsets count from the kernel's `_text`; columns ascend. */
export interface ModuleTables {
  readonly symbols: readonly KernelSymbol[];
  readonly ftraceSites: Uint32Array;
  readonly jumpLabels: JumpLabelTable;
  readonly staticCalls: StaticCallTable;
  readonly kprobeBlacklist: { readonly entries: Uint32Array; readonly ranges: readonly TextRange[] };
  readonly exceptionTable: Uint32Array;
  readonly bugTable: Uint32Array;
  readonly smpLocks: Uint32Array;
  readonly alternatives: readonly TextRange[];
  readonly returnSites: Uint32Array;
  readonly retpolineSites: Uint32Array;
  readonly callSites: Uint32Array;
  readonly endbrSeals: Uint32Array;
}

/** A module as load_module leaves it when module_finalize is done: laid out, relocated, patched. */
export interface ModuleImage extends ModuleTables {
  readonly name: string;
  readonly sha256: string;
  /** Bytes of the file. */
  readonly fileSize: number;
  readonly vermagic: string | undefined;
  readonly license: string | undefined;
  readonly isLivepatch: boolean;
  readonly areas: readonly ModuleArea[];
  readonly sections: readonly ModuleSection[];
  /** Executable areas after module_finalize. */
  readonly pristine: PristineText;
  readonly exports: readonly ExportedSymbol[];
  /** Names of loaded modules whose symbols it uses. */
  readonly uses: readonly string[];
  /** Bytes of its per-CPU variables, and where they begin. */
  readonly perCpu: { readonly size: number; readonly address: bigint };
  /** False for a module that has an init function and no exit function: it stays for good. */
  readonly canUnload: boolean;
  /** Prototypes from split BTF over the kernel's; undefined when the module has none. */
  readonly btf: BtfFunctions | undefined;
  /** Patched sites by category. */
  readonly counts: Readonly<Record<string, number>>;
  /** Relocated data; undefined outside the module's areas. */
  readData(offset: number, length: number): Uint8Array | undefined;
}
