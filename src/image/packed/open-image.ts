import { fromHex, invariant, kernelAddress, parseAddress, textOffset } from '../../base/index.ts';
import { btfFunctions } from '../btf/btf-functions.ts';
import type {
  BtfFunctions,
  JumpLabelTable,
  KernelImage,
  StaticCallTable,
  TextRange,
  TraceEvent,
} from '../kernel-image.ts';
import { openModuleSupport } from '../module/kernel-support.ts';
import { pristineText } from '../pristine-text.ts';
import { symbolTable } from '../symbols/symbol-table.ts';
import { type Packed, unpack } from './container.ts';
import { FORMAT_VERSION, type ImageMeta } from './image-format.ts';

const ranges = (starts: Uint32Array, ends: Uint32Array): readonly TextRange[] =>
  Array.from(starts, (start, i) => ({ start: textOffset(start), end: textOffset(ends[i] as number) }));

function jumpLabels(packed: Packed): JumpLabelTable {
  const code = packed.u32('jumpLabels.code');
  const keys = packed.u64('jumpLabels.key');
  const branches = packed.u8('jumpLabels.isBranch');
  const within = (index: number): number => {
    invariant(index >= 0 && index < code.length, () => `jump label ${index} of ${code.length}`);
    return index;
  };
  return {
    count: code.length,
    code,
    target: packed.u32('jumpLabels.target'),
    size: packed.u8('jumpLabels.size'),
    key: (index) => kernelAddress(keys[within(index)] as bigint),
    isBranch: (index) => branches[within(index)] === 1,
  };
}

function staticCalls(packed: Packed): StaticCallTable {
  const site = packed.u32('staticCalls.site');
  const keys = packed.u64('staticCalls.key');
  const tails = packed.u8('staticCalls.isTail');
  const within = (index: number): number => {
    invariant(index >= 0 && index < site.length, () => `static call site ${index} of ${site.length}`);
    return index;
  };
  return {
    count: site.length,
    site,
    size: packed.u8('staticCalls.size'),
    isTail: (index) => tails[within(index)] === 1,
    key: (index) => kernelAddress(keys[within(index)] as bigint),
    trampolines: ranges(packed.u32('trampolines.start'), packed.u32('trampolines.end')),
  };
}

function btf(packed: Packed, count: number | undefined): BtfFunctions | undefined {
  if (count === undefined) return undefined;
  return btfFunctions(packed.u8('btf'), {
    typeStart: packed.u32('btf.typeStart'),
    functions: packed.u32('btf.functions'),
    chains: { heads: packed.u32('btf.heads'), next: packed.u32('btf.next') },
  });
}

/** What the packed image does not know of itself. */
export interface Provenance {
  readonly source: string;
  readonly loadMs: number;
  readonly fromCache: boolean;
}

function symbols(packed: Packed, meta: ImageMeta, base: KernelImage['base']): KernelImage['symbols'] {
  const nameStart = packed.u32('symbols.nameStart');
  return symbolTable(
    {
      count: nameStart.length - 1,
      low: packed.u64('symbols.low'),
      offsets: packed.u32('symbols.offsets'),
      names: packed.u8('symbols.names'),
      nameStart,
      types: packed.u8('symbols.types'),
      chains: { heads: packed.u32('symbols.heads'), next: packed.u32('symbols.next') },
      functions: packed.u32('symbols.functions'),
    },
    base,
    meta.end,
  );
}

function template({ optprobeTemplate: packed }: ImageMeta): KernelImage['optprobeTemplate'] {
  const bytes = packed === undefined ? undefined : fromHex(packed.bytes);
  return packed === undefined || bytes === undefined ? undefined : { ...packed, bytes };
}

/** Keys and values in turn. */
function pairs(flat: Uint32Array): ReadonlyMap<number, number> {
  const map = new Map<number, number>();
  for (let i = 0; i + 1 < flat.length; i += 2) map.set(flat[i] as number, flat[i + 1] as number);
  return map;
}

/** Tracepoint, event and probe in turn. */
function events(flat: Uint32Array): KernelImage['traceEvents'] {
  const map = new Map<number, TraceEvent>();
  for (let i = 0; i + 2 < flat.length; i += 3)
    map.set(flat[i] as number, { at: flat[i + 1] as number, probe: flat[i + 2] as number });
  return map;
}

/** A view of a packed image; undefined when the bytes are none (damaged, or of another format version). Nothing is copied. */
export function openImage(bytes: Uint8Array, provenance: () => Provenance): KernelImage | undefined {
  const packed = unpack(FORMAT_VERSION, bytes);
  if (packed === undefined) return undefined;
  const meta = packed.meta as ImageMeta;
  const base = parseAddress(meta.base);
  invariant(base !== undefined, 'a packed image without a base');
  const image = {
    release: meta.release,
    version: meta.version,
    sha256: meta.sha256,
    base,
    profile: meta.profile,
    sections: meta.sections.map((s) => ({ ...s, address: kernelAddress(BigInt(s.address)) })),
    pristine: pristineText(meta.text.map(({ name, start }, i) => ({ name, start, bytes: packed.u8(`text.${i}`) }))),
    symbols: symbols(packed, meta, base),
    ftraceSites: packed.u32('ftraceSites'),
    jumpLabels: jumpLabels(packed),
    staticCalls: staticCalls(packed),
    kprobeBlacklist: {
      entries: packed.u32('blacklist'),
      ranges: meta.blacklistRanges.map(({ name, start, end }) => ({
        name,
        start: textOffset(start),
        end: textOffset(end),
      })),
    },
    exceptionTable: packed.u32('exceptionTable'),
    bugTable: packed.u32('bugTable'),
    smpLocks: packed.u32('smpLocks'),
    alternatives: ranges(packed.u32('alternatives.start'), packed.u32('alternatives.end')),
    returnSites: packed.u32('returnSites'),
    retpolineSites: packed.u32('retpolineSites'),
    callSites: packed.u32('callSites'),
    endbrSeals: packed.u32('endbrSeals'),
    fmodretIds: pairs(packed.u32('fmodretIds')),
    rawProbes: pairs(packed.u32('rawProbes')),
    traceEvents: events(packed.u32('traceEvents')),
    optprobeTemplate: template(meta),
    btf: btf(packed, meta.btfCount),
    moduleSupport: openModuleSupport(packed, meta.module),
    modules: [],
    unknowns: meta.unknowns,
  };
  return { ...image, ...provenance() };
}
