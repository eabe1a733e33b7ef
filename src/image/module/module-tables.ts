import { kernelAddress, textOffset } from '../../base/index.ts';
import type { TextRangeBytes } from '../boot/index.ts';
import type { JumpLabelTable, KernelImage, KernelSymbol, StaticCallTable, TextRange } from '../kernel-image.ts';
import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import {
  readBlacklistEntries,
  readExceptionTable,
  readFtraceSites,
  readSiteSection,
} from '../tables/address-tables.ts';
import { readAlternatives } from '../tables/alternatives.ts';
import { readBugTable } from '../tables/bug-table.ts';
import { codeRanges } from '../tables/code-ranges.ts';
import { jumpLabelSize, readJumpLabels } from '../tables/jump-labels.ts';
import { readBlacklistRanges } from '../tables/named-ranges.ts';
import { readStaticCalls } from '../tables/static-calls.ts';
import { callKey } from './finalize.ts';
import type { ModuleTables } from './module-image.ts';

const NEVER_RUN = '.altinstr_replacement';
const TRAMPOLINE = '__SCT__';
const TRAMPOLINE_SIZE = 8;

function jumpLabels(kernel: RawKernel, text: readonly TextRangeBytes[]): JumpLabelTable {
  const columns = readJumpLabels(kernel, codeRanges(kernel));
  const u8 = (offset: number): number | undefined => {
    const area = text.find((each) => offset >= each.start && offset < each.start + each.bytes.length);
    return area?.bytes[offset - area.start];
  };
  const size = Uint8Array.from(
    columns.code,
    (at) => jumpLabelSize(u8, at) ?? refuse('__jump_table', at, 'a jump label whose text is neither a jump nor a NOP'),
  );
  return {
    count: columns.code.length,
    code: columns.code,
    target: columns.target,
    size,
    key: (i) => kernelAddress(columns.key[i] as bigint),
    isBranch: (i) => columns.isBranch[i] === 1,
  };
}

function staticCalls(image: KernelImage, kernel: RawKernel, symbols: readonly KernelSymbol[]): StaticCallTable {
  const columns = readStaticCalls(kernel, codeRanges(kernel));
  const keys = Array.from(columns.key, (key) =>
    kernelAddress(image.base + BigInt(callKey(image, Number(key - image.base)))),
  );
  const trampolines = symbols
    .filter(({ name, offset }) => name.startsWith(TRAMPOLINE) && offset !== undefined)
    .map(({ offset }) => ({ start: offset as TextRange['start'], end: textOffset((offset ?? 0) + TRAMPOLINE_SIZE) }));
  return {
    count: columns.site.length,
    site: columns.site,
    size: columns.size,
    isTail: (i) => columns.isTail[i] === 1,
    key: (i) => keys[i] ?? kernelAddress(0n),
    trampolines,
  };
}

/** The tables of a module. `kernel` has text as it is before patching, `text` as it is after. */
export function moduleTables(
  image: KernelImage,
  kernel: RawKernel,
  text: readonly TextRangeBytes[],
  symbols: readonly KernelSymbol[],
): ModuleTables {
  const code = codeRanges(kernel);
  const alternatives = readAlternatives(kernel, code);
  const running = (sites: Uint32Array): Uint32Array =>
    sites.filter((offset) => code.section(offset)?.name !== NEVER_RUN);
  const sites = (name: string): Uint32Array => running(readSiteSection(kernel, code, name));
  return {
    symbols,
    ftraceSites: readFtraceSites(kernel, code, () => true),
    jumpLabels: jumpLabels(kernel, text),
    staticCalls: staticCalls(image, kernel, symbols),
    kprobeBlacklist: { entries: readBlacklistEntries(kernel, code), ranges: readBlacklistRanges(kernel) },
    exceptionTable: running(readExceptionTable(kernel, code)),
    bugTable: readBugTable(kernel, code),
    smpLocks: sites('.smp_locks'),
    alternatives: Array.from(alternatives.starts, (start, i) => ({
      start: textOffset(start),
      end: textOffset(alternatives.ends[i] as number),
    })),
    returnSites: sites('.return_sites'),
    retpolineSites: sites('.retpoline_sites'),
    callSites: sites('.call_sites'),
    endbrSeals: readSiteSection(kernel, code, '.ibt_endbr_seal'),
  };
}
