import { type ByteView, byteView } from '../byte-view.ts';
import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';

/** One table of the kernel: its bytes and where they lie. */
export interface TableBytes {
  readonly name: string;
  /** From `_text`. */
  readonly offset: number;
  readonly view: ByteView;
}

/** No table of a real kernel comes near; a larger one is a corrupted symbol or section header. */
const TABLE_MAX = 64 << 20;

/** The table between two symbols; undefined when either is unknown or it is empty. */
export function tableBetween(kernel: RawKernel, name: string, start: string, stop: string): TableBytes | undefined {
  const from = kernel.symbolOffset(start);
  const to = kernel.symbolOffset(stop);
  if (from === undefined || to === undefined || from === to) return undefined;
  if (to < from || to - from > TABLE_MAX) refuse(name, from, `${stop} lies ${to - from} bytes after ${start}`);
  const bytes = kernel.read(from, to - from);
  if (bytes === undefined) return refuse(name, from, `0x${(to - from).toString(16)} bytes are not inside one section`);
  return { name, offset: from, view: byteView(bytes, name) };
}

/** A table with a section of its own, shortened to `stop` where that symbol says that the section's tail is padding. */
export function tableInSection(kernel: RawKernel, name: string, stop?: string): TableBytes | undefined {
  const section = kernel.section(name);
  if (section === undefined || section.offset === undefined || section.bytes.length === 0) return undefined;
  const end = stop === undefined ? undefined : kernel.symbolOffset(stop);
  const length =
    end !== undefined && end >= section.offset
      ? Math.min(end - section.offset, section.bytes.length)
      : section.bytes.length;
  return { name, offset: section.offset, view: byteView(section.bytes.subarray(0, length), name) };
}

/** Number of entries of `size` bytes; a rest is a malformed table. */
export function entriesOf(table: TableBytes, size: number): number {
  const rest = table.view.length % size;
  if (rest !== 0)
    refuse(table.name, table.offset, `${table.view.length} bytes are no whole number of ${size}-byte entries`);
  return table.view.length / size;
}

/** Destination of a place-relative s32 at `at` in the table, as an offset from `_text` (negative below it). */
export const relative = (table: TableBytes, at: number): number => table.offset + at + table.view.s32(at);

export const isAscending = (values: Uint32Array): boolean => {
  for (let i = 1; i < values.length; i++) if ((values[i] as number) < (values[i - 1] as number)) return false;
  return true;
};

export function sorted(values: Uint32Array): Uint32Array {
  return isAscending(values) ? values : values.sort();
}
