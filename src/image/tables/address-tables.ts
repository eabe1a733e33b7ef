import { toOffset } from '../../base/index.ts';
import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import type { CodeRanges } from './code-ranges.ts';
import { entriesOf, relative, sorted, type TableBytes, tableBetween, tableInSection } from './table-bytes.ts';

/** A table of absolute u64 (`__mcount_loc`, `_kprobe_blacklist`) as offsets, ascending; zero entries (dropped weak functions) left out. */
function absoluteTable(kernel: RawKernel, table: TableBytes, code: CodeRanges): Uint32Array {
  const count = entriesOf(table, 8);
  const offsets = new Uint32Array(count);
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const address = table.view.u64(i * 8);
    if (address === 0n) continue;
    const offset = toOffset(kernel.base, address);
    if (offset === undefined || code.section(offset) === undefined) {
      refuse(table.name, table.offset + i * 8, `entry ${i} is 0x${address.toString(16)}, outside code`);
    }
    offsets[kept++] = offset;
  }
  return sorted(offsets.slice(0, kept));
}

/** Bytes of a call or of the NOP that takes its place. */
const MCOUNT_INSN_SIZE = 5;

const isTraced = (name: string): boolean => name === '.text' || name === '.init.text';

/** `__mcount_loc` (include/asm-generic/vmlinux.lds.h): the sites ftrace manages; of the kernel's, only those in .text and .init.text. */
export function readFtraceSites(
  kernel: RawKernel,
  code: CodeRanges,
  isManaged: (section: string) => boolean = isTraced,
): Uint32Array {
  const table = tableBetween(kernel, '__mcount_loc', '__start_mcount_loc', '__stop_mcount_loc');
  if (table === undefined) return new Uint32Array(0);
  const kept = absoluteTable(kernel, table, code).filter((offset) => {
    const name = code.section(offset)?.name;
    return name !== undefined && isManaged(name) && code.contains(offset, MCOUNT_INSN_SIZE);
  });
  return kept;
}

export function readBlacklistEntries(kernel: RawKernel, code: CodeRanges): Uint32Array {
  const table = tableBetween(kernel, '_kprobe_blacklist', '__start_kprobe_blacklist', '__stop_kprobe_blacklist');
  return table === undefined ? new Uint32Array(0) : absoluteTable(kernel, table, code);
}

/** A section of place-relative s32 (`.return_sites` and its like) as offsets, ascending. Zero entries are left out. */
export function readSiteSection(kernel: RawKernel, code: CodeRanges, name: string, stop?: string): Uint32Array {
  const table = tableInSection(kernel, name, stop);
  if (table === undefined) return new Uint32Array(0);
  // Some tails are padding of the section, not entries: .smp_locks fills its last page with zeros.
  const count = Math.floor(table.view.length / 4);
  if (table.view.length - count * 4 !== 0)
    refuse(name, table.offset, `${table.view.length} bytes are no whole number of 4-byte entries`);
  const offsets = new Uint32Array(count);
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (table.view.s32(i * 4) === 0) continue;
    const offset = relative(table, i * 4);
    if (code.section(offset) === undefined)
      refuse(name, table.offset + i * 4, `entry ${i} points to ${kernel.describe(offset)}, outside code`);
    offsets[kept++] = offset;
  }
  return sorted(offsets.slice(0, kept));
}

const EX_TABLE_ENTRY = 12;

/** `__ex_table` (arch/x86/include/asm/extable.h: s32 insn, s32 fixup, s32 data): the instructions that may fault, ascending. */
export function readExceptionTable(kernel: RawKernel, code: CodeRanges): Uint32Array {
  const table =
    tableInSection(kernel, '__ex_table') ??
    tableBetween(kernel, '__ex_table', '__start___ex_table', '__stop___ex_table');
  if (table === undefined) return new Uint32Array(0);
  const count = entriesOf(table, EX_TABLE_ENTRY);
  const offsets = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const offset = relative(table, i * EX_TABLE_ENTRY);
    if (code.section(offset) === undefined) {
      refuse(
        table.name,
        table.offset + i * EX_TABLE_ENTRY,
        `entry ${i} points to ${kernel.describe(offset)}, outside code`,
      );
    }
    offsets[i] = offset;
  }
  return sorted(offsets);
}
