import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import type { CodeRanges } from './code-ranges.ts';
import { entriesOf, relative, tableBetween } from './table-bytes.ts';

/** struct jump_entry with relative fields (include/linux/jump_label.h): s32 code, s32 target, s64 key. */
const ENTRY_SIZE = 16;
const KEY_FLAGS = 3n;
const BRANCH = 1n;

export interface JumpLabelColumns {
  readonly code: Uint32Array;
  readonly target: Uint32Array;
  /** Addresses without flag bits. */
  readonly key: BigUint64Array;
  readonly isBranch: Uint8Array;
}

/** `__jump_table` sorted by code. On disk it is in link order. */
export function readJumpLabels(kernel: RawKernel, code: CodeRanges): JumpLabelColumns {
  const table = tableBetween(kernel, '__jump_table', '__start___jump_table', '__stop___jump_table');
  const count = table === undefined ? 0 : entriesOf(table, ENTRY_SIZE);
  const columns = {
    code: new Uint32Array(count),
    target: new Uint32Array(count),
    key: new BigUint64Array(count),
    isBranch: new Uint8Array(count),
  };
  if (table === undefined) return columns;
  const places = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    places[i] = relative(table, i * ENTRY_SIZE);
    if (!code.contains(places[i] as number, 2))
      refuse('__jump_table', table.offset + i * ENTRY_SIZE, `entry ${i} has its code outside code`);
    if (code.section(relative(table, i * ENTRY_SIZE + 4)) === undefined) {
      refuse('__jump_table', table.offset + i * ENTRY_SIZE + 4, `entry ${i} has its target outside code`);
    }
  }
  const order = Uint32Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => (places[a] as number) - (places[b] as number),
  );
  for (const [i, entry] of order.entries()) {
    const at = entry * ENTRY_SIZE;
    const raw = table.view.u64(at + 8);
    columns.code[i] = places[entry] as number;
    columns.target[i] = relative(table, at + 4);
    // The key is relative to its own field with the flag bits set, and keys are aligned: masking the sum clears them.
    columns.key[i] = (kernel.base + BigInt(table.offset + at + 8) + raw) & ~KEY_FLAGS;
    columns.isBranch[i] = Number((kernel.base + BigInt(table.offset + at + 8) + raw) & BRANCH);
  }
  return columns;
}

/**
 * Length of a jump label's instruction as it stands in text: 2 for a short jump or NOP2, 5 for a near jump or NOP5 (arch/x86/kernel/jump_label.c,
 * arch_jump_entry_size); undefined when it is none of them.
 */
export function jumpLabelSize(byte: (offset: number) => number | undefined, offset: number): 2 | 5 | undefined {
  const first = byte(offset);
  const second = byte(offset + 1);
  if (first === 0xeb || (first === 0x66 && second === 0x90)) return 2;
  if (first === 0xe9) return 5;
  if (first === 0x0f && second === 0x1f && byte(offset + 2) === 0x44) return 5;
  return undefined;
}
