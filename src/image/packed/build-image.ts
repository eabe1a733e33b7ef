import { formatAddress, ok, type Result } from '../../base/index.ts';
import { applyBootPatching, type TextRangeBytes } from '../boot/index.ts';
import { type BtfIndex, indexBtf } from '../btf/btf-index.ts';
import { byteView } from '../byte-view.ts';
import type { BootProfile, ProgressListener } from '../kernel-image.ts';
import { catchingMalformed, refuse } from '../malformed.ts';
import { moduleColumns } from '../module/kernel-support.ts';
import { type RawKernelWithSymbols, readElfKernel } from '../read-raw-kernel.ts';
import { upperBound } from '../symbol-index.ts';
import { type SymbolColumns, symbolColumns } from '../symbols/symbol-columns.ts';
import {
  readBlacklistEntries,
  readExceptionTable,
  readFtraceSites,
  readSiteSection,
} from '../tables/address-tables.ts';
import { readAlternatives } from '../tables/alternatives.ts';
import { readBugTable } from '../tables/bug-table.ts';
import { type CodeRanges, codeRanges } from '../tables/code-ranges.ts';
import { readFmodretIds } from '../tables/fmodret-ids.ts';
import { jumpLabelSize, readJumpLabels } from '../tables/jump-labels.ts';
import { readBlacklistRanges } from '../tables/named-ranges.ts';
import { readOptprobeTemplate } from '../tables/optprobe-template.ts';
import { readStaticCalls, readTrampolines } from '../tables/static-calls.ts';
import { readRawProbes, readTraceEvents } from '../tables/trace-probes.ts';
import { unwrapKernel } from '../unwrap.ts';
import { type Columns, pack } from './container.ts';
import { BUILD_STEPS, FORMAT_VERSION, type ImageMeta } from './image-format.ts';

export interface BuildInput {
  /** Bytes of the kernel file. */
  readonly file: Uint8Array;
  /** Of `file`, lower-case hex. */
  readonly sha256: string;
  readonly profile: BootProfile;
  readonly onProgress: ProgressListener;
}

/** Code that never runs where it lies: its bytes are copied over other text by alternatives. */
const NEVER_RUN = '.altinstr_replacement';

const copiesOfText = (code: CodeRanges): TextRangeBytes[] =>
  code.sections
    .filter((s) => s.name !== NEVER_RUN)
    .map((s) => ({ name: s.name, start: s.offset, bytes: s.bytes.slice() }));

interface Text {
  readonly ranges: readonly TextRangeBytes[];
  contains(offset: number): boolean;
  u8(offset: number): number | undefined;
}

function textOf(ranges: readonly TextRangeBytes[]): Text {
  const starts = ranges.map((r) => r.start);
  const find = (offset: number): TextRangeBytes | undefined => {
    const range = ranges[upperBound(starts, offset) - 1];
    return range !== undefined && offset < range.start + range.bytes.length ? range : undefined;
  };
  return {
    ranges,
    contains: (offset) => find(offset) !== undefined,
    u8: (offset) => {
      const range = find(offset);
      return range?.bytes[offset - range.start];
    },
  };
}

/** Lengths of jump labels as text has them; whatever stands there must be one of the four forms. */
function jumpLabelSizes(code: Uint32Array, text: Text): Uint8Array {
  return Uint8Array.from(code, (offset) => {
    const size = jumpLabelSize(text.u8, offset);
    return (
      size ?? refuse('__jump_table', offset, 'a jump label whose text is neither a jump nor a NOP of 2 or 5 bytes')
    );
  });
}

/** Sites in code that runs: a few of the tables' lie in replacements, which are only copied from. */
const running = (sites: Uint32Array, code: CodeRanges): Uint32Array =>
  sites.filter((offset) => code.section(offset)?.name !== NEVER_RUN);

function tableColumns(kernel: RawKernelWithSymbols, code: CodeRanges): Columns {
  const alternatives = readAlternatives(kernel, code);
  const trampolines = readTrampolines(kernel, kernel.symbols, code);
  const calls = readStaticCalls(kernel, code);
  const labels = readJumpLabels(kernel, code);
  return {
    ftraceSites: readFtraceSites(kernel, code),
    'jumpLabels.code': labels.code,
    'jumpLabels.target': labels.target,
    'jumpLabels.key': labels.key,
    'jumpLabels.isBranch': labels.isBranch,
    'staticCalls.site': calls.site,
    'staticCalls.size': calls.size,
    'staticCalls.key': calls.key,
    'staticCalls.isTail': calls.isTail,
    'trampolines.start': trampolines.starts,
    'trampolines.end': trampolines.ends,
    blacklist: readBlacklistEntries(kernel, code),
    exceptionTable: running(readExceptionTable(kernel, code), code),
    bugTable: readBugTable(kernel, code),
    smpLocks: running(readSiteSection(kernel, code, '.smp_locks', '__smp_locks_end'), code),
    'alternatives.start': alternatives.starts,
    'alternatives.end': alternatives.ends,
    returnSites: running(readSiteSection(kernel, code, '.return_sites', '__return_sites_end'), code),
    retpolineSites: running(readSiteSection(kernel, code, '.retpoline_sites', '__retpoline_sites_end'), code),
    callSites: running(readSiteSection(kernel, code, '.call_sites', '__call_sites_end'), code),
    endbrSeals: readSiteSection(kernel, code, '.ibt_endbr_seal', '__ibt_endbr_seal_end'),
    fmodretIds: readFmodretIds(kernel),
    rawProbes: readRawProbes(kernel),
    traceEvents: readTraceEvents(kernel),
  };
}

function btfColumns(kernel: RawKernelWithSymbols): { readonly columns: Columns; readonly index: BtfIndex | undefined } {
  const section = kernel.section('.BTF');
  if (section === undefined || section.bytes.length === 0) return { columns: {}, index: undefined };
  const index = indexBtf(byteView(section.bytes, '.BTF'));
  return {
    columns: {
      btf: section.bytes,
      'btf.typeStart': index.typeStart,
      'btf.functions': index.functions,
      'btf.heads': index.chains.heads,
      'btf.next': index.chains.next,
    },
    index,
  };
}

const symbolColumnsOf = (symbols: SymbolColumns): Columns => ({
  'symbols.low': symbols.low,
  'symbols.offsets': symbols.offsets,
  'symbols.names': symbols.names,
  'symbols.nameStart': symbols.nameStart,
  'symbols.types': symbols.types,
  'symbols.heads': symbols.chains.heads,
  'symbols.next': symbols.chains.next,
  'symbols.functions': symbols.functions,
});

function endOf(kernel: RawKernelWithSymbols): number {
  const end = kernel.symbolOffset('_end');
  return end ?? Math.max(...kernel.sections.map((s) => (s.offset === undefined ? 0 : s.offset + s.size)));
}

function metaOf(
  input: BuildInput,
  kernel: RawKernelWithSymbols,
  text: Text,
): Omit<ImageMeta, 'unknowns' | 'bootCounts' | 'btfCount' | 'module'> {
  const template = readOptprobeTemplate(kernel);
  return {
    release: kernel.release,
    version: kernel.version,
    base: formatAddress(kernel.base),
    end: endOf(kernel),
    sha256: input.sha256,
    profile: input.profile,
    sections: kernel.sections.map(({ name, address, size, executable, writable }) => ({
      name,
      address: formatAddress(address),
      size,
      executable,
      writable,
    })),
    text: text.ranges.map(({ name, start }) => ({ name, start })),
    ...(template === undefined ? {} : { optprobeTemplate: template }),
    blacklistRanges: readBlacklistRanges(kernel).map(({ name, start, end }) => ({ name: name ?? '', start, end })),
  };
}

function assemble(
  input: BuildInput,
  kernel: RawKernelWithSymbols,
  step: (name: (typeof BUILD_STEPS)[number]) => void,
): Result<Uint8Array<ArrayBuffer>> {
  step('tables');
  const code = codeRanges(kernel);
  const tables = catchingMalformed(() => tableColumns(kernel, code));
  if (!tables.ok) return tables;
  step('boot patching');
  const text = textOf(copiesOfText(code));
  const boot = applyBootPatching({ kernel, profile: input.profile, text: text.ranges });
  if (!boot.ok) return boot;
  return catchingMalformed(() => {
    const sizes = jumpLabelSizes(tables.value['jumpLabels.code'] as Uint32Array, text);
    step('types');
    const btf = btfColumns(kernel);
    step('pack');
    const modules = moduleColumns(kernel, boot.value.machine);
    const meta: ImageMeta = {
      ...metaOf(input, kernel, text),
      unknowns: boot.value.unknowns,
      bootCounts: boot.value.counts,
      module: modules.meta,
      ...(btf.index === undefined ? {} : { btfCount: btf.index.functions.length }),
    };
    return pack(FORMAT_VERSION, meta, {
      ...symbolColumnsOf(symbolColumns(kernel.symbols, kernel.chains, kernel.base, text.contains)),
      ...tables.value,
      'jumpLabels.size': sizes,
      ...btf.columns,
      ...modules.columns,
      ...Object.fromEntries(text.ranges.map((range, i) => [`text.${i}`, range.bytes])),
    });
  });
}

/** Kernel file in, packed image out: all of the work of a cold load but reading and caching the file. */
export async function buildImage(input: BuildInput): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const step = (name: (typeof BUILD_STEPS)[number]): void =>
    input.onProgress({ step: name, done: BUILD_STEPS.indexOf(name), total: BUILD_STEPS.length });
  step('unpack');
  const unwrapped = await unwrapKernel(input.file);
  if (!unwrapped.ok) return unwrapped;
  step('symbols');
  const kernel = readElfKernel(unwrapped.value.elf);
  if (!kernel.ok) return kernel;
  const packed = assemble(input, kernel.value, step);
  if (packed.ok) input.onProgress({ step: 'pack', done: BUILD_STEPS.length, total: BUILD_STEPS.length });
  return packed.ok ? ok(packed.value) : packed;
}
