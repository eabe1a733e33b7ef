import type { KernelAddress, ReadableText, TextOffset } from '../base/index.ts';
import type { ModuleImage } from './module/module-image.ts';

/**
 * A kernel as the rest of the service sees it: where its code lies, what its tables say, and its *pristine* text, that is the text after
 * the boot-time patching that this kernel does on the machine a {@link BootProfile} describes.
 */
export interface KernelImage {
  /** `"6.12.117+deb12-cloud-amd64"`, from linux_banner. */
  readonly release: string;
  readonly version: KernelVersion;
  /** The path that was loaded, or `"builtin"`. */
  readonly source: string;
  /** Of the file as loaded, lower-case hex. */
  readonly sha256: string;
  /** Address of `_text`; all TextOffsets count from it. */
  readonly base: KernelAddress;
  readonly profile: BootProfile;
  readonly sections: readonly Section[];
  /** Executable ranges after boot patching. */
  readonly pristine: PristineText;
  readonly symbols: SymbolTable;
  /** `__mcount_loc` without its zero entries: the 5-byte sites that ftrace manages, ascending. Only those in .text and .init.text. */
  readonly ftraceSites: Uint32Array;
  readonly jumpLabels: JumpLabelTable;
  readonly staticCalls: StaticCallTable;
  readonly kprobeBlacklist: KprobeBlacklist;
  /** Offsets of instructions with an exception-table entry, ascending. */
  readonly exceptionTable: Uint32Array;
  /** Offsets of `ud2` of BUG and WARN, ascending. */
  readonly bugTable: Uint32Array;
  /** Places of LOCK prefixes (.smp_locks), ascending; kept in text on a multiprocessor. */
  readonly smpLocks: Uint32Array;
  /** Ranges replaced by alternatives, ascending by start. */
  readonly alternatives: readonly TextRange[];
  readonly returnSites: Uint32Array;
  readonly retpolineSites: Uint32Array;
  readonly callSites: Uint32Array;
  readonly endbrSeals: Uint32Array;
  /** BTF ids of functions that fmod_ret may be attached to, with their flags (KF_*), from the set8 tables in .BTF_ids. */
  readonly fmodretIds: ReadonlyMap<number, number>;
  /** Functions that hand a tracepoint's arguments to raw BPF programs, by offset of the struct tracepoint. */
  readonly rawProbes: ReadonlyMap<number, number>;
  /** Events that perf knows, by offset of the struct tracepoint. */
  readonly traceEvents: ReadonlyMap<number, TraceEvent>;
  /** Where an optimized kprobe's detour is copied from; undefined when the kernel has none (no CONFIG_OPTPROBES). */
  readonly optprobeTemplate: OptprobeTemplate | undefined;
  /** Function prototypes from .BTF; undefined when the image has none. */
  readonly btf: BtfFunctions | undefined;
  /** What loading modules needs of this kernel. */
  readonly moduleSupport: ModuleSupport;
  /** Modules whose text, symbols and tables are part of this image, newest first; none in a kernel's own. */
  readonly modules: readonly ModuleImage[];
  /** What pristine text does not claim to know, by category (static keys that depend on what booted, for example). */
  readonly unknowns: readonly { readonly category: string; readonly count: number; readonly reason: string }[];
  /** Milliseconds from opening the file to a usable image. */
  readonly loadMs: number;
  readonly fromCache: boolean;
}

/** optprobe_template_*: the code in front of the copied instructions, and where a probe's own values go, counted from its first byte. */
export interface OptprobeTemplate {
  readonly bytes: Uint8Array;
  /** Three bytes of NOP that become CLAC on a CPU with SMAP. */
  readonly clac: number;
  /** Ten bytes: `mov $op,%rdi`. */
  readonly val: number;
  /** Five bytes: the call of optimized_callback. */
  readonly call: number;
}

/** A symbol that modules may use. */
export interface ExportedSymbol {
  readonly name: string;
  readonly address: KernelAddress;
  /** EXPORT_SYMBOL_GPL. */
  readonly isGpl: boolean;
  /** Of genksyms (`__kcrctab`); absent without CONFIG_MODVERSIONS. */
  readonly crc?: number;
  /** The module that exports it; absent for the kernel itself. */
  readonly module?: string;
}

export interface ModuleSupport {
  /** What `vermagic` of a module has to be; undefined when the image does not tell. */
  readonly vermagic: string | undefined;
  /** False where the image has no `__ksymtab`: then every symbol is taken for exported. */
  readonly hasExports: boolean;
  exported(name: string): ExportedSymbol | undefined;
  /** Bits of boot_cpu_data.x86_capability that are set. */
  readonly capabilities: readonly number[];
  /** Whether boot switched this static key, and to what; undefined when it left it as the file has it. */
  keyState(key: number): boolean | undefined;
  /** Initialised data as the file has it: exported objects and what patching looks at; undefined for anything else. */
  readData(offset: number, length: number): Uint8Array | undefined;
}

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** The boot state that made the pristine text; the shape of a variant in the recordings, so that a person makes one from a host with three `cat`s. */
export interface BootProfile {
  readonly name: string;
  /** Lines of /proc/cpuinfo of one CPU. */
  readonly cpu: readonly string[];
  /** File name in /sys/devices/system/cpu/vulnerabilities → its text. */
  readonly vulnerabilities: Readonly<Record<string, string>>;
  /** /proc/cmdline. */
  readonly cmdline: string;
  /** State of static keys by symbol name where a profile knows more than the tables; optional. */
  readonly staticKeys?: Readonly<Record<string, boolean>>;
}

export interface Section {
  readonly name: string;
  readonly address: KernelAddress;
  readonly size: number;
  readonly executable: boolean;
  readonly writable: boolean;
}

/** [start, end) in text. `name` where the range has one (`.noinstr.text`, `.entry.text`). */
export interface TextRange {
  readonly start: TextOffset;
  readonly end: TextOffset;
  readonly name?: string;
}

/** A struct trace_event_call, and the function of its class that writes records for perf and BPF (`perf_trace_CLASS`). */
export interface TraceEvent {
  readonly at: number;
  readonly probe: number;
}

export interface PristineText extends ReadableText {
  readonly ranges: readonly { readonly name: string; readonly start: TextOffset; readonly length: number }[];
}

export interface KernelSymbol {
  readonly name: string;
  readonly address: KernelAddress;
  /** Set when the symbol lies in [_text, _text + 2^32). */
  readonly offset: TextOffset | undefined;
  /** Distance to the next higher address in the table. */
  readonly size: number;
  /** nm letter: T t W w are code. */
  readonly type: string;
}

export interface SymbolTable {
  readonly count: number;
  /** Number of T, t, W, w symbols inside executable ranges (without `__pfx_` and `__cfi_` padding symbols). */
  readonly functionCount: number;
  at(index: number): KernelSymbol;
  /** All symbols of that name, ascending by address; [] when unknown. */
  byName(name: string): readonly KernelSymbol[];
  /** What kallsyms_lookup answers: the symbol whose [address, address + size) has the address; among aliases the first in the table. */
  containing(offset: number): KernelSymbol | undefined;
  /** Offset of the first symbol of that name (what kallsyms_lookup_name answers); undefined when unknown or outside text. */
  offsetOf(name: string): TextOffset | undefined;
  /** Function symbols whose name matches a pattern of `*` and `?`, ascending by address. Linear time. */
  matching(pattern: string): Iterable<KernelSymbol>;
  /** Up to `limit` function names that resemble `name`, nearest first. */
  near(name: string, limit: number): readonly string[];
}

export interface JumpLabelTable {
  readonly count: number;
  /** Ascending. */
  readonly code: Uint32Array;
  /** Offset of the jump's destination, by index of `code`. */
  readonly target: Uint32Array;
  /** Length of the instruction, 2 or 5, by index of `code`. */
  readonly size: Uint8Array;
  /** Address of the static_key without its flag bits, by index of `code`. */
  key(index: number): KernelAddress;
  /** True when the branch is likely (jump_entry's bit 0), by index of `code`. */
  isBranch(index: number): boolean;
}

export interface StaticCallTable {
  readonly count: number;
  /** Ascending. */
  readonly site: Uint32Array;
  /** Length of the instruction: 5, or 6 for a conditional tail jump, by index of `site`. */
  readonly size: Uint8Array;
  /** True for a tail call, by index of `site`. */
  isTail(index: number): boolean;
  key(index: number): KernelAddress;
  /** Ranges of the `__SCT__*` trampolines, ascending. */
  readonly trampolines: readonly TextRange[];
}

export interface KprobeBlacklist {
  /** `_kprobe_blacklist` entries as they are; each widens to its symbol. Ascending. */
  readonly entries: Uint32Array;
  /** .kprobes.text, .noinstr.text, .entry.text, .irqentry.text and their like. */
  readonly ranges: readonly TextRange[];
}

export interface BtfFunctions {
  readonly count: number;
  /** Type id of the FUNC of that name; undefined when BTF has none. */
  id(name: string): number | undefined;
  prototype(name: string): FunctionPrototype | undefined;
  /** What each parameter points to, by position; undefined where it is no pointer. Undefined when BTF has no such function. */
  pointees(name: string): readonly (Pointee | undefined)[] | undefined;
  /** A struct or union by its tag, members of anonymous members among its own; undefined when BTF has none. Walks all types: keep what it answers. */
  struct(tag: string): StructLayout | undefined;
}

/** What a pointer points to. */
export interface Pointee {
  readonly kind: BtfKind;
  /** Bytes; 0 for void, functions and types that are only declared. */
  readonly size: number;
}

export interface StructLayout {
  readonly size: number;
  /** Byte offset by member's name; bit fields are left out. */
  readonly offsets: ReadonlyMap<string, number>;
}

export interface FunctionPrototype {
  /** C text: `void tcp_set_state(struct sock *sk, int state)`. */
  readonly text: string;
  readonly params: readonly Parameter[];
  readonly result: { readonly type: string; readonly kind: BtfKind; readonly size: number };
  readonly isVariadic: boolean;
}

export interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly kind: BtfKind;
  /** Bytes. */
  readonly size: number;
}

export type BtfKind =
  | 'void'
  | 'int'
  | 'bool'
  | 'enum'
  | 'pointer'
  | 'struct'
  | 'union'
  | 'array'
  | 'float'
  | 'function';

/** How far loading has come, for people who watch. */
export interface LoadProgress {
  readonly step: string;
  readonly done: number;
  readonly total: number;
}

export type ProgressListener = (progress: LoadProgress) => void;
