import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import type { CodeRanges } from './code-ranges.ts';
import { relative, sorted, type TableBytes, tableBetween, tableInSection } from './table-bytes.ts';

/**
 * Sizes of struct bug_entry (include/asm-generic/bug.h): s32 address, [s32 file, u16 line,] u16 flags with CONFIG_DEBUG_BUGVERBOSE 12 and
 * without 6 (8 when padded); 16 where a format string is kept too. The right one is the least
 * whose every entry points to the instruction of a trap (twice that size would skip every other entry).
 */
const ENTRY_SIZES = [6, 8, 12, 16];

/** ud2 (0f 0b), ud1 (0f b9, also with the address-size prefix). */
function isTrap(code: CodeRanges, offset: number): boolean {
  const first = code.u8(offset);
  const at = first === 0x67 ? offset + 1 : offset;
  const second = code.u8(at + 1);
  return code.u8(at) === 0x0f && (second === 0x0b || second === 0xb9);
}

function offsetsWith(table: TableBytes, size: number, code: CodeRanges): Uint32Array | undefined {
  if (table.view.length % size !== 0) return undefined;
  const offsets = new Uint32Array(table.view.length / size);
  for (let i = 0; i < offsets.length; i++) {
    const offset = relative(table, i * size);
    if (offset < 0 || !isTrap(code, offset)) return undefined;
    offsets[i] = offset;
  }
  return offsets;
}

/** `__bug_table`: where BUG and WARN trap, ascending. */
export function readBugTable(kernel: RawKernel, code: CodeRanges): Uint32Array {
  const table =
    tableInSection(kernel, '__bug_table', '__stop___bug_table') ??
    tableBetween(kernel, '__bug_table', '__start___bug_table', '__stop___bug_table');
  if (table === undefined) return new Uint32Array(0);
  for (const size of ENTRY_SIZES) {
    const offsets = offsetsWith(table, size, code);
    if (offsets !== undefined) return sorted(offsets);
  }
  return refuse(
    '__bug_table',
    table.offset,
    `with no entry size of ${ENTRY_SIZES.join(', ')} bytes does each entry point to a trap`,
  );
}
