import type { ReadableText } from '../base/index.ts';
import {
  isTextArea,
  type KernelImage,
  type KernelSymbol,
  type KernelVersion,
  type TextRange,
  withModules,
} from '../image/index.ts';
import { JMP32_INSN_OPCODE, relTarget } from '../insn/index.ts';
import type { GeneratedCodeCpu } from '../jit/index.ts';
import { type FactReader, readerFor } from './kernels/fact.ts';
import { LATEST_PATCH, latestOf, type RulesKernel, rulesKernel } from './kernels/versions.ts';
import type { LoadedModule } from './model/loaded-module.ts';
import type { Strictness } from './model/request.ts';
import { type OptprobeSupport, optprobeSupport } from './optprobe-support.ts';

export const MCOUNT_INSN_SIZE = 5;
/**
 * Where modules begin, counted from `_text`: 0xffffffffd0000000 of a kernel at 0xffffffff81000000. Linux puts modules and generated code where it
 * finds room between MODULES_VADDR and MODULES_END; here each has a part of its own, so that neither's addresses depend on the other.
 */
export const MODULES_START = 0x4f00_0000;
/** A site further from its symbol belongs to a function that is gone: an ENDBR is 4 bytes (arch/x86/include/asm/ftrace.h, 6.12). */
export const FTRACE_MCOUNT_MAX_OFFSET = 4;

/** What does not change but by loading and unloading modules ({@link worldOf}), prepared for questions. */
export interface World {
  readonly image: KernelImage;
  readonly pristine: ReadableText;
  /** The built version whose rules decide. */
  readonly kernel: RulesKernel;
  /** What that version, at its point release, decides differently from others. */
  readonly fact: FactReader;
  readonly strictness: Strictness;
  /** What the 2019 thread proposed and Linux did not take is there, too. */
  readonly hasVariants: boolean;
  /** Offsets of the shared callers and of what they call; undefined when the image has no ftrace. */
  readonly ftrace: FtraceSymbols | undefined;
  readonly kprobeFtraceHandler: number | undefined;
  /** Addresses of struct ftrace_ops kprobe_ftrace_ops and kprobe_ipmodify_ops. */
  readonly kprobeOpsPointer: bigint;
  readonly kprobeIpmodifyOpsPointer: bigint;
  readonly coreText: TextRange;
  /** `__mcount_loc` as it is after boot: the records of init text went with it (ftrace_free_init_mem). Ascending. */
  readonly ftraceSites: Uint32Array;
  /** Ranges no kprobe may enter, from the blacklist widened to symbols. Sorted, disjoint not guaranteed. */
  readonly blacklist: readonly TextRange[];
  readonly kretprobeBlacklist: readonly number[];
  /** Undefined when the kernel does not make jumps of kprobes. */
  readonly optprobe: OptprobeSupport | undefined;
  /** CONFIG_PREEMPTION: no slot is boosted (prepare_singlestep). preempt_schedule is there just then. */
  readonly isPreemptible: boolean;
  /** [__indirect_thunk_start, __indirect_thunk_end]: both ends count. */
  readonly indirectThunks: TextRange | undefined;
  /** What this boot asks of generated code. */
  readonly cpu: GeneratedCodeCpu;
  readonly codeLayout: 'linux-6.12' | 'linux-6.1';
  /** Executable memory of loaded modules, ascending. */
  readonly moduleText: readonly TextRange[];
  /** Names of modules whose exit function has been called. */
  readonly goingModules: ReadonlySet<string>;
  /** The world without modules; undefined in that world itself. */
  readonly core?: World;
}

export interface FtraceSymbols {
  readonly ftraceCaller: number;
  readonly ftraceRegsCaller: number;
  readonly ftraceCallerEnd: number;
  readonly ftraceRegsCallerEnd: number;
  readonly ftraceCall: number;
  readonly ftraceRegsCall: number;
  readonly ftraceStub: number;
  readonly listFunction: number;
  readonly assistFunction: number;
}

/** Index of the last element <= value; -1 when there is none. */
export function floorIndex(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** lookup_rec: the ftrace site with a byte in [start, end]. */
export function ftraceSiteIn(world: World, start: number, end: number): number | undefined {
  const sites = world.ftraceSites;
  const index = floorIndex(sites, end);
  const site = index >= 0 ? sites[index] : undefined;
  return site !== undefined && start < site + MCOUNT_INSN_SIZE ? site : undefined;
}

/** search_exception_tables: a fault of the instruction here has a fix-up. */
export function hasExceptionEntry(world: World, at: number): boolean {
  const { exceptionTable } = world.image;
  return exceptionTable[floorIndex(exceptionTable, at)] === at;
}

/**
 * ftrace_location: the site that has this byte; for sym+0 the function's site; else undefined.
 * Source: kernel/trace/ftrace.c ftrace_location, 6.12.
 */
export function ftraceLocation(world: World, ip: number): number | undefined {
  const direct = ftraceSiteIn(world, ip, ip);
  if (direct !== undefined) return direct;
  const symbol = world.image.symbols.containing(ip);
  if (symbol === undefined || symbol.offset !== ip || symbol.size === 0) return undefined;
  return ftraceSiteIn(world, ip, ip + symbol.size - 1);
}

const WEAK_LEFTOVERS = new WeakMap<KernelImage, ReadonlySet<number>>();

function weakLeftovers(image: KernelImage): ReadonlySet<number> {
  let sites = WEAK_LEFTOVERS.get(image);
  if (sites === undefined) {
    const found = new Set<number>();
    for (const site of image.ftraceSites) if (isFarFromSymbol(image, site)) found.add(site);
    sites = found;
    WEAK_LEFTOVERS.set(image, sites);
  }
  return sites;
}

function isFarFromSymbol(image: KernelImage, site: number): boolean {
  const symbol = image.symbols.containing(site);
  return symbol?.offset === undefined || site - symbol.offset > FTRACE_MCOUNT_MAX_OFFSET;
}

/** A weak function that the linker dropped leaves a site behind whose nearest symbol is another one (FTRACE_FL_DISABLED). */
export function isWeakLeftover(world: World, site: number): boolean {
  if (site >= MODULES_START) return isFarFromSymbol(world.image, site);
  return weakLeftovers((world.core ?? world).image).has(site);
}

/** Sites are named again and again: in events, answers and refusals. */
const PLACES = new WeakMap<World, Map<number, string>>();
const PLACES_MAX = 4_096;

/** `tcp_set_state+0x4`, or `_text+0x…` outside of every symbol. */
export function describePlace(world: World, offset: number): string {
  let places = PLACES.get(world);
  if (places === undefined || places.size >= PLACES_MAX) {
    places = new Map();
    PLACES.set(world, places);
  }
  const known = places.get(offset);
  if (known !== undefined) return known;
  const place = findPlace(world, offset);
  places.set(offset, place);
  return place;
}

function findPlace(world: World, offset: number): string {
  const symbol = world.image.symbols.containing(offset);
  if (symbol?.offset === undefined) return `_text+0x${offset.toString(16)}`;
  return offset === symbol.offset ? symbol.name : `${symbol.name}+0x${(offset - symbol.offset).toString(16)}`;
}

export function inRanges(ranges: readonly TextRange[], offset: number): TextRange | undefined {
  return ranges.find((range) => offset >= range.start && offset < range.end);
}

export interface WorldOptions {
  readonly strictness: Strictness;
  readonly variants?: boolean;
}

function ftraceSymbols(image: KernelImage): FtraceSymbols | undefined {
  const at = (name: string): number | undefined => image.symbols.offsetOf(name);
  const ftraceCaller = at('ftrace_caller');
  const ftraceRegsCaller = at('ftrace_regs_caller');
  const ftraceCallerEnd = at('ftrace_caller_end');
  const ftraceRegsCallerEnd = at('ftrace_regs_caller_end');
  const ftraceCall = at('ftrace_call');
  const ftraceRegsCall = at('ftrace_regs_call');
  const ftraceStub = at('ftrace_stub');
  const listFunction = at('arch_ftrace_ops_list_func');
  const assistFunction = at('ftrace_ops_assist_func');
  if (
    ftraceCaller === undefined ||
    ftraceRegsCaller === undefined ||
    ftraceCallerEnd === undefined ||
    ftraceRegsCallerEnd === undefined ||
    ftraceCall === undefined ||
    ftraceRegsCall === undefined ||
    ftraceStub === undefined ||
    listFunction === undefined ||
    assistFunction === undefined
  )
    return undefined;
  return {
    ftraceCaller,
    ftraceRegsCaller,
    ftraceCallerEnd,
    ftraceRegsCallerEnd,
    ftraceCall,
    ftraceRegsCall,
    ftraceStub,
    listFunction,
    assistFunction,
  };
}

/**
 * populate_kprobe_blacklist: each entry covers its symbol's size from the entry on; .kprobes.text, .noinstr.text and the entry text whole.
 * Source: kernel/kprobes.c kprobe_add_ksym_blacklist, arch/x86/kernel/kprobes/core.c arch_populate_kprobe_blacklist (6.12).
 */
function widenBlacklist(
  image: Pick<KernelImage, 'kprobeBlacklist'>,
  containing: (offset: number) => KernelSymbol | undefined,
): readonly TextRange[] {
  const named = new Set(['.kprobes.text', '.noinstr.text', '.entry.text']);
  const areas = image.kprobeBlacklist.ranges.filter((range) => range.name !== undefined && named.has(range.name));
  const ranges: TextRange[] = [...areas];
  for (const entry of image.kprobeBlacklist.entries) {
    const symbol = containing(entry);
    if (symbol === undefined) continue;
    ranges.push({
      start: entry as TextRange['start'],
      end: (entry + symbol.size) as TextRange['end'],
      name: symbol.name,
    });
  }
  return ranges.sort((a, b) => a.start - b.start);
}

function rangeOf(image: KernelImage, from: string, to: string): TextRange | undefined {
  const start = image.symbols.offsetOf(from);
  const end = image.symbols.offsetOf(to);
  return start === undefined || end === undefined ? undefined : { start, end };
}

/** `sarq $5,%gs:pcpu_hot+X86_call_depth(%rip)`, the accounting that call thunks put in front of functions; its displacement is at 4. */
const CALL_DEPTH_ACCOUNTING = [0x65, 0x48, 0xc1, 0x3d] as const;
const CALL_DEPTH_ACCOUNTING_SIZE = 9;
/** Functions looked at for an accounting: nearly all have one where call depth is tracked. */
const FUNCTIONS_TRIED = 1_000;

/** Where the per-CPU call depth lies, counted from `_text`, read out of the call thunks; undefined where call depth is not tracked. */
function callDepthOffset(image: KernelImage): number | undefined {
  for (const site of image.ftraceSites.subarray(0, FUNCTIONS_TRIED)) {
    const start = image.symbols.containing(site)?.offset;
    const at = start === undefined ? -1 : start - CALL_DEPTH_ACCOUNTING_SIZE;
    if (at < 0 || !image.pristine.contains(at, CALL_DEPTH_ACCOUNTING_SIZE)) continue;
    const bytes = image.pristine.bytes(at, CALL_DEPTH_ACCOUNTING_SIZE);
    if (!CALL_DEPTH_ACCOUNTING.every((byte, i) => bytes[i] === byte)) continue;
    const displacement = new DataView(bytes.buffer, bytes.byteOffset).getInt32(CALL_DEPTH_ACCOUNTING.length, true);
    return at + CALL_DEPTH_ACCOUNTING_SIZE + displacement;
  }
  return undefined;
}

/** Returns in pristine text say whether generated code returns through a thunk too, and which. */
function generatedCodeCpu(image: KernelImage): GeneratedCodeCpu {
  const site = image.returnSites.find((each) => image.pristine.contains(each, 5) && each < 0x1000_0000);
  const bytes = site === undefined ? undefined : image.pristine.bytes(site, 5);
  const callDepth = callDepthOffset(image);
  const thunk = bytes?.[0] === JMP32_INSN_OPCODE && site !== undefined ? relTarget(bytes, site) : undefined;
  return {
    ...(thunk === undefined ? {} : { returnThunk: thunk }),
    ...(callDepth === undefined ? {} : { callDepth }),
    sls: true,
    ibt: image.endbrSeals.length > 0,
  };
}

/** `6.8.0-31-generic` says nothing about the point release: a distributor counts otherwise, and is taken to follow its branch. */
const pointRelease = (version: KernelVersion): KernelVersion =>
  version.patch === 0 ? { ...version, patch: LATEST_PATCH } : version;

/** The same image, decided by the rules of a built version at its latest point release. */
export const withRulesOf = (world: World, kernel: RulesKernel): World => ({
  ...world,
  kernel,
  fact: readerFor(latestOf(kernel)),
});

export function makeWorld(image: KernelImage, options: WorldOptions): World {
  const start = image.symbols.offsetOf('_stext') ?? image.symbols.offsetOf('_text') ?? 0;
  const text = image.pristine.ranges.find((range) => range.name === '.text') ?? image.pristine.ranges[0];
  const end = image.symbols.offsetOf('_etext') ?? (text === undefined ? start : text.start + text.length);
  const pointer = (name: string): bigint => image.symbols.byName(name)[0]?.address ?? 0n;
  const kernel = rulesKernel(image.version);
  const isOldLayout = kernel === '5.15' || kernel === '6.1';
  const switchTo = image.symbols.offsetOf('__switch_to');
  return {
    image,
    pristine: image.pristine,
    kernel,
    fact: readerFor(pointRelease(image.version)),
    strictness: options.strictness,
    hasVariants: options.variants === true,
    ftrace: ftraceSymbols(image),
    kprobeFtraceHandler: image.symbols.offsetOf('kprobe_ftrace_handler'),
    kprobeOpsPointer: pointer('kprobe_ftrace_ops'),
    kprobeIpmodifyOpsPointer: pointer('kprobe_ipmodify_ops'),
    coreText: { start: start as TextRange['start'], end: end as TextRange['end'] },
    ftraceSites: image.ftraceSites.slice(0, floorIndex(image.ftraceSites, end - 1) + 1),
    blacklist: widenBlacklist(image, image.symbols.containing),
    kretprobeBlacklist: switchTo === undefined ? [] : [switchTo],
    optprobe: optprobeSupport(image),
    isPreemptible: image.symbols.offsetOf('preempt_schedule') !== undefined,
    indirectThunks: rangeOf(image, '__indirect_thunk_start', '__indirect_thunk_end'),
    cpu: generatedCodeCpu(image),
    codeLayout: isOldLayout ? 'linux-6.1' : 'linux-6.12',
    moduleText: [],
    goingModules: new Set(),
  };
}

const WITH_MODULES = new WeakMap<World, WeakMap<readonly LoadedModule[], World>>();

function textOf(modules: readonly LoadedModule[]): readonly TextRange[] {
  const ranges = modules.flatMap(({ image }) =>
    image.areas
      .filter((area) => isTextArea(area.kind))
      .map(({ start, size }) => ({ start: start as TextRange['start'], end: (start + size) as TextRange['end'] })),
  );
  return ranges.sort((a, b) => a.start - b.start);
}

function makeWithModules(core: World, modules: readonly LoadedModule[]): World {
  const images = modules.map((module) => module.image);
  const image = withModules(core.image, images);
  const coreSites = core.image.ftraceSites.length;
  const sites = new Uint32Array(core.ftraceSites.length + image.ftraceSites.length - coreSites);
  sites.set(core.ftraceSites);
  sites.set(image.ftraceSites.subarray(coreSites), core.ftraceSites.length);
  const going = modules.filter(({ state }) => state === 'going');
  // remove_module_kprobe_blacklist comes with GOING.
  const listed = modules.filter((module) => !going.includes(module)).map((module) => module.image);
  return {
    ...core,
    image,
    pristine: image.pristine,
    ftraceSites: sites,
    blacklist: [...core.blacklist, ...listed.flatMap((module) => widenBlacklist(module, image.symbols.containing))],
    moduleText: textOf(modules),
    goingModules: new Set(going.map(({ name }) => name)),
    core,
  };
}

/** The world with these modules; `world` may already have others. The same modules, the same world. */
export function worldOf(world: World, modules: readonly LoadedModule[]): World {
  const core = world.core ?? world;
  if (modules.length === 0) return core;
  const known = WITH_MODULES.get(core) ?? new WeakMap<readonly LoadedModule[], World>();
  WITH_MODULES.set(core, known);
  const found = known.get(modules) ?? makeWithModules(core, modules);
  known.set(modules, found);
  return found;
}

/** core_kernel_text or is_module_text_address: text that may run now, which init text of the kernel may not. */
export function isKernelText({ coreText, moduleText }: World, offset: number): boolean {
  return (offset >= coreText.start && offset < coreText.end) || inRanges(moduleText, offset) !== undefined;
}

/** True for a site in memory of a module that is not there any more: filters keep such sites, as in Linux. */
export const isVanished = (world: World, site: number): boolean =>
  site < 0 || (site >= MODULES_START && ftraceSiteIn(world, site, site) !== site);
