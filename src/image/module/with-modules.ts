/** A kernel with modules in it: one image whose text, symbols and tables are the kernel's and the modules'. */
import type { TextOffset } from '../../base/index.ts';
import { extendsBtf } from '../btf/btf-functions.ts';
import type {
  BtfFunctions,
  JumpLabelTable,
  KernelImage,
  KernelSymbol,
  ModuleSupport,
  PristineText,
  StaticCallTable,
  SymbolTable,
  TextRange,
} from '../kernel-image.ts';
import { upperBound } from '../symbol-index.ts';
import { globMatches, PATTERN_MAX } from '../symbols/glob.ts';
import { characterSet, nearNames } from '../symbols/near-names.ts';
import { isInitArea, isTextArea, type ModuleImage } from './module-image.ts';

export function inModule(module: ModuleImage, offset: number): boolean {
  return module.areas.some((area) => offset >= area.start && offset < area.start + area.size);
}

/** The module that has this place in its memory. */
export const moduleAt = (image: Pick<KernelImage, 'modules'>, offset: number): ModuleImage | undefined =>
  image.modules.find((module) => inModule(module, offset));

const isFunction = ({ name, type }: KernelSymbol): boolean => /^[TtWw]$/.test(type) && !/^__(?:pfx|cfi)_/.test(name);

const joined = (columns: readonly Uint32Array[]): Uint32Array => {
  const all = new Uint32Array(columns.reduce((sum, column) => sum + column.length, 0));
  let at = 0;
  for (const column of columns) {
    all.set(column, at);
    at += column.length;
  }
  return all;
};

const bytesJoined = (columns: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(columns));

/** Index into one of several tables that stand one behind the other. */
function split<T extends { readonly count: number }>(tables: readonly T[]): (index: number) => readonly [T, number] {
  const starts: number[] = [];
  let sum = 0;
  for (const table of tables) {
    starts.push(sum);
    sum += table.count;
  }
  return (index) => {
    const which = upperBound(starts, index) - 1;
    return [tables[which] as T, index - (starts[which] as number)];
  };
}

function jumpLabels(tables: readonly JumpLabelTable[]): JumpLabelTable {
  const at = split(tables);
  return {
    count: tables.reduce((sum, table) => sum + table.count, 0),
    code: joined(tables.map((table) => table.code)),
    target: joined(tables.map((table) => table.target)),
    size: bytesJoined(tables.map((table) => table.size)),
    key: (index) => {
      const [table, within] = at(index);
      return table.key(within);
    },
    isBranch: (index) => {
      const [table, within] = at(index);
      return table.isBranch(within);
    },
  };
}

function staticCalls(tables: readonly StaticCallTable[]): StaticCallTable {
  const at = split(tables);
  return {
    count: tables.reduce((sum, table) => sum + table.count, 0),
    site: joined(tables.map((table) => table.site)),
    size: bytesJoined(tables.map((table) => table.size)),
    isTail: (index) => {
      const [table, within] = at(index);
      return table.isTail(within);
    },
    key: (index) => {
      const [table, within] = at(index);
      return table.key(within);
    },
    trampolines: tables.flatMap((table) => table.trampolines),
  };
}

function pristine(texts: readonly PristineText[]): PristineText {
  const holding = (offset: number, length: number): PristineText =>
    texts.find((text) => text.contains(offset, length)) ?? (texts[0] as PristineText);
  return {
    ranges: texts.flatMap((text) => text.ranges),
    contains: (offset, length) => texts.some((text) => text.contains(offset, length)),
    u8: (offset) => holding(offset, 1).u8(offset),
    bytes: (offset, length) => holding(offset, length).bytes(offset, length),
  };
}

/** find_kallsyms_symbol: the closest symbol that is not behind the place; among aliases the first of the file's table. */
function containing({ symbols }: ModuleImage, offset: number): KernelSymbol | undefined {
  let low = 0;
  let high = symbols.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((symbols[middle]?.offset ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  let found = symbols[low - 1];
  for (let i = low - 2; i >= 0 && symbols[i]?.offset === found?.offset; i--) found = symbols[i];
  return found?.offset !== undefined && offset < found.offset + found.size ? found : undefined;
}

function nearIn(modules: readonly ModuleImage[], name: string, limit: number): readonly string[] {
  const functions = modules.flatMap((module) => module.symbols.filter(isFunction)).map((symbol) => symbol.name);
  const names = Buffer.from(functions.join(''), 'latin1');
  const ends: number[] = [];
  let end = 0;
  for (const each of functions) {
    end += each.length;
    ends.push(end);
  }
  const column = { names, start: (i: number) => ends[i - 1] ?? 0, end: (i: number) => ends[i] ?? 0 };
  const candidates = Uint32Array.from(functions, (_, i) => i);
  const sets = candidates.map((i) => characterSet(names, column.start(i), column.end(i)));
  return nearNames(column, candidates, sets, name, limit).map((i) => functions[i] ?? '');
}

/** module_kallsyms_lookup_name asks the kernel first, then the modules, the newest first. */
function symbols(core: SymbolTable, modules: readonly ModuleImage[]): SymbolTable {
  const ascending = [...modules].sort((a, b) => (a.areas[0]?.start ?? 0) - (b.areas[0]?.start ?? 0));
  const byName = new Map<string, KernelSymbol[]>();
  for (const module of modules)
    for (const symbol of module.symbols) byName.set(symbol.name, [...(byName.get(symbol.name) ?? []), symbol]);
  const tables = [
    { count: core.count, at: (index: number) => core.at(index) },
    ...ascending.map((module) => ({
      count: module.symbols.length,
      at: (index: number) => module.symbols[index] as KernelSymbol,
    })),
  ];
  const at = split(tables);
  return {
    count: tables.reduce((sum, table) => sum + table.count, 0),
    functionCount: core.functionCount + modules.reduce((sum, each) => sum + each.symbols.filter(isFunction).length, 0),
    at: (index) => {
      const [table, within] = at(index);
      return table.at(within);
    },
    byName: (name) => [...core.byName(name), ...(byName.get(name) ?? [])],
    containing: (offset) => {
      const module = modules.find((each) => inModule(each, offset));
      return module === undefined ? core.containing(offset) : containing(module, offset);
    },
    offsetOf: (name) => core.offsetOf(name) ?? byName.get(name)?.[0]?.offset,
    matching: (pattern) => matching(core, ascending, pattern),
    near: (name, limit) => [...new Set([...core.near(name, limit), ...nearIn(modules, name, limit)])].slice(0, limit),
  };
}

function* matching(core: SymbolTable, modules: readonly ModuleImage[], pattern: string): Iterable<KernelSymbol> {
  yield* core.matching(pattern);
  if (pattern.length > PATTERN_MAX) return;
  const wanted = Buffer.from(pattern, 'latin1');
  for (const module of modules)
    for (const symbol of module.symbols) {
      const name = Buffer.from(symbol.name, 'latin1');
      if (isFunction(symbol) && globMatches(wanted, name, 0, name.length)) yield symbol;
    }
}

function btf(core: BtfFunctions | undefined, modules: readonly ModuleImage[]): BtfFunctions | undefined {
  const all = [core, ...modules.map((module) => module.btf)].filter((each): each is BtfFunctions => each !== undefined);
  if (core === undefined || all.length === 1) return core ?? all[0];
  const having = (name: string): BtfFunctions | undefined => all.find((each) => each.id(name) !== undefined);
  // What is asked about more than functions is the kernel's.
  const merged: BtfFunctions = {
    ...core,
    count: all.reduce((sum, each) => sum + each.count, 0),
    id: (name) => having(name)?.id(name),
    prototype: (name) => having(name)?.prototype(name),
    pointees: (name) => having(name)?.pointees(name),
  };
  return extendsBtf(merged, core);
}

function support(core: KernelImage, modules: readonly ModuleImage[]): ModuleSupport {
  return {
    ...core.moduleSupport,
    exported: (name) => {
      const own = core.moduleSupport.exported(name);
      if (own !== undefined) return own;
      for (const module of modules) {
        const found = module.exports.find((each) => each.name === name);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    readData: (offset, length) => {
      const module = modules.find((each) => inModule(each, offset));
      return module === undefined ? core.moduleSupport.readData(offset, length) : module.readData(offset, length);
    },
  };
}

const byStart = (a: TextRange, b: TextRange): number => a.start - b.start;

/**
 * The kernel with these modules, newest first. Modules lie above the kernel, so that columns that ascend do so when the modules' are put behind the
 * kernel's in the order of their addresses.
 */
export function withModules(core: KernelImage, modules: readonly ModuleImage[]): KernelImage {
  const text = (module: ModuleImage): number => module.areas.find((area) => isTextArea(area.kind))?.start ?? 0;
  const ascending = [...modules].sort((a, b) => text(a) - text(b));
  const column = (of: (image: KernelImage | ModuleImage) => Uint32Array): Uint32Array =>
    joined([of(core), ...ascending.map(of)]);
  return {
    ...core,
    modules,
    pristine: pristine([core.pristine, ...ascending.map((module) => module.pristine)]),
    symbols: symbols(core.symbols, modules),
    ftraceSites: column((each) => each.ftraceSites),
    jumpLabels: jumpLabels([core.jumpLabels, ...ascending.map((module) => module.jumpLabels)]),
    staticCalls: staticCalls([core.staticCalls, ...ascending.map((module) => module.staticCalls)]),
    kprobeBlacklist: {
      entries: column((each) => each.kprobeBlacklist.entries),
      ranges: [...core.kprobeBlacklist.ranges, ...ascending.flatMap((module) => module.kprobeBlacklist.ranges)].sort(
        byStart,
      ),
    },
    exceptionTable: column((each) => each.exceptionTable),
    bugTable: column((each) => each.bugTable),
    smpLocks: column((each) => each.smpLocks),
    alternatives: [...core.alternatives, ...ascending.flatMap((module) => module.alternatives)],
    returnSites: column((each) => each.returnSites),
    retpolineSites: column((each) => each.retpolineSites),
    callSites: column((each) => each.callSites),
    endbrSeals: column((each) => each.endbrSeals),
    btf: btf(core.btf, modules),
    moduleSupport: support(core, modules),
  };
}

/** The module and nothing else: what `lab:lab_t1` is looked up in. `tables` stay those of the whole image. */
export function onlyModule(image: KernelImage, module: ModuleImage): KernelImage {
  const byName = (name: string): readonly KernelSymbol[] => module.symbols.filter((symbol) => symbol.name === name);
  return {
    ...image,
    btf: module.btf,
    symbols: {
      ...image.symbols,
      byName,
      offsetOf: (name): TextOffset | undefined => byName(name)[0]?.offset,
      near: (name, limit) => nearIn([module], name, limit),
    },
  };
}

/** Leaves out what lies in memory that is given back once the module's init function has returned (do_free_init, ftrace_free_mem). */
export function withoutInit(module: ModuleImage): ModuleImage {
  const areas = module.areas.filter((area) => !isInitArea(area.kind));
  const stays = (offset: number): boolean =>
    areas.some((area) => offset >= area.start && offset < area.start + area.size);
  const kept = { ...module, areas };
  const column = (values: Uint32Array): Uint32Array => values.filter(stays);
  const labels = Array.from(module.jumpLabels.code, (_, i) => i).filter((i) => stays(module.jumpLabels.code[i] ?? 0));
  const calls = Array.from(module.staticCalls.site, (_, i) => i).filter((i) => stays(module.staticCalls.site[i] ?? 0));
  const range = ({ start }: TextRange): boolean => stays(start);
  return {
    ...kept,
    sections: module.sections.filter((section) => !isInitArea(section.area)),
    pristine: textIn(module.pristine, stays),
    symbols: module.symbols.filter(({ offset }) => offset !== undefined && stays(offset)),
    ftraceSites: column(module.ftraceSites),
    jumpLabels: {
      count: labels.length,
      code: Uint32Array.from(labels, (i) => module.jumpLabels.code[i] ?? 0),
      target: Uint32Array.from(labels, (i) => module.jumpLabels.target[i] ?? 0),
      size: Uint8Array.from(labels, (i) => module.jumpLabels.size[i] ?? 0),
      key: (i) => module.jumpLabels.key(labels[i] ?? 0),
      isBranch: (i) => module.jumpLabels.isBranch(labels[i] ?? 0),
    },
    staticCalls: {
      count: calls.length,
      site: Uint32Array.from(calls, (i) => module.staticCalls.site[i] ?? 0),
      size: Uint8Array.from(calls, (i) => module.staticCalls.size[i] ?? 0),
      isTail: (i) => module.staticCalls.isTail(calls[i] ?? 0),
      key: (i) => module.staticCalls.key(calls[i] ?? 0),
      trampolines: module.staticCalls.trampolines.filter(range),
    },
    kprobeBlacklist: {
      entries: column(module.kprobeBlacklist.entries),
      ranges: module.kprobeBlacklist.ranges.filter(range),
    },
    exceptionTable: column(module.exceptionTable),
    bugTable: column(module.bugTable),
    smpLocks: column(module.smpLocks),
    alternatives: module.alternatives.filter(range),
    returnSites: column(module.returnSites),
    retpolineSites: column(module.retpolineSites),
    callSites: column(module.callSites),
    endbrSeals: column(module.endbrSeals),
    readData: (offset, length) => (stays(offset) ? module.readData(offset, length) : undefined),
  };
}

function textIn(text: PristineText, stays: (offset: number) => boolean): PristineText {
  return {
    ranges: text.ranges.filter((range) => stays(range.start)),
    contains: (offset, length) => stays(offset) && text.contains(offset, length),
    u8: (offset) => text.u8(offset),
    bytes: (offset, length) => text.bytes(offset, length),
  };
}
