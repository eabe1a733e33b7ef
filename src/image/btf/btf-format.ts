import type { ByteView } from '../byte-view.ts';
import { refuse } from '../malformed.ts';

/** Kinds of BTF types (include/uapi/linux/btf.h, Documentation/bpf/btf.rst). */
export const BTF_KIND = {
  UNKN: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

/** Bytes behind the 12 of struct btf_type, by kind: fixed, and for each of its vlen members. */
const TAIL: readonly (readonly [fixed: number, perMember: number])[] = [
  [0, 0],
  [4, 0],
  [0, 0],
  [12, 0],
  [0, 12],
  [0, 12],
  [0, 8],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 8],
  [4, 0],
  [0, 12],
  [0, 0],
  [4, 0],
  [0, 0],
  [0, 12],
];

const MAGIC = 0xeb9f;
const HEADER_MIN = 24;
/** Real kernels have 100,000 to 200,000. */
const TYPES_MAX = 4_000_000;
export const BTF_TYPE_SIZE = 12;

export interface BtfLayout {
  /** Place of the type section in .BTF. */
  readonly types: number;
  readonly typesEnd: number;
  readonly strings: number;
  readonly stringsEnd: number;
}

export const infoKind = (info: number): number => (info >>> 24) & 0x1f;
export const infoVlen = (info: number): number => info & 0xffff;

/** `isSplit`: it goes on where another one ends, and may do without strings of its own. */
export function readBtfLayout(view: ByteView, isSplit = false): BtfLayout {
  if (view.u16(0) !== MAGIC) refuse('.BTF header', 0, `magic 0x${view.u16(0).toString(16)}`);
  if (view.u8(2) !== 1) refuse('.BTF header', 2, `version ${view.u8(2)}`);
  const headerLength = view.u32(4);
  if (headerLength < HEADER_MIN) refuse('.BTF header', 4, `${headerLength} bytes long`);
  const types = headerLength + view.u32(8);
  const typesEnd = types + view.u32(12);
  const strings = headerLength + view.u32(16);
  const stringsEnd = strings + view.u32(20);
  if (typesEnd > view.length) refuse('.BTF header', 8, `types end at 0x${typesEnd.toString(16)}, past the section`);
  if (stringsEnd > view.length)
    refuse('.BTF header', 16, `strings end at 0x${stringsEnd.toString(16)}, past the section`);
  const hasNone = strings === stringsEnd;
  if (hasNone ? !isSplit : view.u8(stringsEnd - 1) !== 0) refuse('.BTF header', 16, 'strings do not end in NUL');
  return { types, typesEnd, strings, stringsEnd };
}

/** Place of each type in .BTF by id; [0] stands for void. `baseStrings`: bytes of the strings that a split .BTF continues. */
export function readTypeStarts(view: ByteView, layout: BtfLayout, baseStrings = 0): Uint32Array {
  const starts: number[] = [0];
  let at = layout.types;
  while (at < layout.typesEnd) {
    if (starts.length > TYPES_MAX) refuse('.BTF types', at, `more than ${TYPES_MAX} types`);
    if (at + BTF_TYPE_SIZE > layout.typesEnd) refuse('.BTF types', at, 'half a type');
    const info = view.u32(at + 4);
    const tail = TAIL[infoKind(info)];
    if (tail === undefined || infoKind(info) === BTF_KIND.UNKN)
      return refuse('.BTF types', at + 4, `type ${starts.length} is of kind ${infoKind(info)}`);
    if (view.u32(at) >= baseStrings + layout.stringsEnd - layout.strings)
      refuse('.BTF types', at, `type ${starts.length} has its name outside the strings`);
    starts.push(at);
    at += BTF_TYPE_SIZE + tail[0] + tail[1] * infoVlen(info);
  }
  if (at !== layout.typesEnd) refuse('.BTF types', starts.at(-1) ?? 0, 'the last type runs past the types');
  return Uint32Array.from(starts);
}
