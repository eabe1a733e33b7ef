import type { RawKernel } from '../raw-kernel.ts';
import { entriesOf, relative, tableBetween } from '../tables/table-bytes.ts';

/** One struct jump_entry; places are offsets from `_text`. */
export interface JumpEntry {
  readonly code: number;
  readonly target: number;
  readonly key: number;
  readonly isBranch: boolean;
}

const ENTRY_SIZE = 16;

/** `__jump_table` in its order. Keys lie in the image, so their distance fits a double. */
export function readJumpEntries(kernel: RawKernel): readonly JumpEntry[] {
  const table = tableBetween(kernel, '__jump_table', '__start___jump_table', '__stop___jump_table');
  if (table === undefined) return [];
  return Array.from({ length: entriesOf(table, ENTRY_SIZE) }, (_, i) => {
    const at = i * ENTRY_SIZE;
    const key = table.offset + at + 8 + Number(BigInt.asIntN(64, table.view.u64(at + 8)));
    return {
      code: relative(table, at),
      target: relative(table, at + 4),
      // Bit 0 is the branch's likeliness; bit 1 objtool's mark of an entry that it made a NOP, which the kernel overwrites.
      key: key - (((key % 4) + 4) % 4),
      isBranch: ((key % 2) + 2) % 2 === 1,
    };
  });
}
