/** .BTF.ext: what belongs to single instructions (Documentation/bpf/btf.rst; btf_ext__new, tools/lib/bpf/btf.c, 6.12). */
import type { BtfTypes } from '../../image/index.ts';
import { refuse } from './object-fault.ts';
import { type SectionView, sectionView } from './section-view.ts';

export const BTF_EXT_SECTION = '.BTF.ext';
const MAGIC = 0xeb9f;
/** Up to line_info_len, and with the relocations. */
const HEADER_MIN = 24;
const HEADER_CORE = 32;
const RECORDS_AT = 8;

export interface FunctionInfo {
  /** Byte in the section. */
  readonly offset: number;
  readonly type: number;
}

export interface LineInfo {
  readonly offset: number;
  readonly file: string;
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

export interface CoreRelocation {
  readonly offset: number;
  readonly type: number;
  /** Indices from the type to what is meant, `0:1:2`. */
  readonly access: string;
  /** enum bpf_core_relo_kind. */
  readonly kind: number;
  /** Byte of its record in .BTF.ext. */
  readonly at: number;
}

/** Records by the name of the section whose instructions they are about. */
export type BySection<T> = ReadonlyMap<string, readonly T[]>;

export interface BtfExt {
  readonly functions: BySection<FunctionInfo>;
  readonly lines: BySection<LineInfo>;
  readonly relocations: BySection<CoreRelocation>;
}

interface Part<T> {
  readonly what: string;
  /** Place of its offset and length in the header. */
  readonly header: number;
  readonly recordMin: number;
  readonly read: (view: SectionView, at: number) => T;
}

function readPart<T>(view: SectionView, types: BtfTypes, { what, header, recordMin, read }: Part<T>): BySection<T> {
  const records = new Map<string, T[]>();
  const length = view.u32(header + 4);
  if (length === 0) return records;
  const offset = view.u32(header);
  if (offset % 4 !== 0) refuse(view.section, header, `${what} at 0x${offset.toString(16)}, which is not aligned to 4`);
  let at = view.u32(4) + offset;
  const end = at + length;
  if (end > view.length) refuse(view.section, header, `${what} ends at 0x${end.toString(16)}, past the section`);
  const size = view.u32(at);
  if (size < recordMin || size % 4 !== 0) refuse(view.section, at, `records of ${what} of ${size} bytes`);
  at += 4;
  if (at === end) refuse(view.section, at, `no record of ${what}`);
  while (at < end) {
    if (at + RECORDS_AT > end) refuse(view.section, at, `half a header of ${what}`);
    const section = types.string(view.u32(at));
    const count = view.u32(at + 4);
    if (section === '') refuse(view.section, at, `${what} of a section without a name`);
    if (count === 0 || at + RECORDS_AT + count * size > end)
      refuse(view.section, at + 4, `${count} records of ${what} for ${section}`);
    at += RECORDS_AT;
    const list = records.get(section) ?? [];
    records.set(section, list);
    for (let i = 0; i < count; i++, at += size) list.push(read(view, at));
  }
  return records;
}

/** bpf_line_info.line_col: the line above 10 bits of column. */
const COLUMN_BITS = 10;

export function readBtfExt(bytes: Uint8Array | undefined, types: BtfTypes): BtfExt {
  if (bytes === undefined) return { functions: new Map(), lines: new Map(), relocations: new Map() };
  const view = sectionView(bytes, BTF_EXT_SECTION);
  if (view.u16(0) !== MAGIC) refuse(view.section, 0, `magic 0x${view.u16(0).toString(16)}`);
  if (view.u8(2) !== 1) refuse(view.section, 2, `version ${view.u8(2)}`);
  if (view.u8(3) !== 0) refuse(view.section, 3, `flags 0x${view.u8(3).toString(16)}`);
  const header = view.u32(4);
  if (header < HEADER_MIN || header > view.length) refuse(view.section, 4, `a header of ${header} bytes`);
  const functions = readPart(view, types, {
    what: 'function information',
    header: 8,
    recordMin: 8,
    read: (v, at): FunctionInfo => ({ offset: v.u32(at), type: v.u32(at + 4) }),
  });
  const lines = readPart(view, types, {
    what: 'line information',
    header: 16,
    recordMin: 16,
    read: (v, at): LineInfo => ({
      offset: v.u32(at),
      file: types.string(v.u32(at + 4)),
      text: types.string(v.u32(at + 8)),
      line: v.u32(at + 12) >>> COLUMN_BITS,
      column: v.u32(at + 12) & ((1 << COLUMN_BITS) - 1),
    }),
  });
  if (header < HEADER_CORE) return { functions, lines, relocations: new Map() };
  const relocations = readPart(view, types, {
    what: 'relocations',
    header: 24,
    recordMin: 16,
    read: (v, at): CoreRelocation => ({
      offset: v.u32(at),
      type: v.u32(at + 4),
      access: types.string(v.u32(at + 8)),
      kind: v.u32(at + 12),
      at,
    }),
  });
  return { functions, lines, relocations };
}
