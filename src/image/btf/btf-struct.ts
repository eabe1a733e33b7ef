import type { StructLayout } from '../kernel-image.ts';
import { BTF_KIND } from './btf-format.ts';
import { type BtfTypes, strip } from './btf-types.ts';

/** Anonymous members nest a few levels in real kernels; a cycle in a hostile file ends here. */
const DEPTH_MAX = 16;
const BITS_PER_BYTE = 8;
/** With kind_flag a member's offset has the size of its bit field in the upper byte (struct btf_member, include/uapi/linux/btf.h). */
const OFFSET_MASK = 0xff_ffff;

const isRecord = (types: BtfTypes, id: number): boolean =>
  types.kind(id) === BTF_KIND.STRUCT || types.kind(id) === BTF_KIND.UNION;

function collect(types: BtfTypes, id: number, base: number, depth: number, offsets: Map<string, number>): void {
  for (let i = 0; i < types.vlen(id); i++) {
    const name = types.string(types.tail(id, i * 3));
    const raw = types.tail(id, i * 3 + 2);
    const isBitField = types.flag(id) && raw >>> 24 !== 0;
    const offset = base + (types.flag(id) ? raw & OFFSET_MASK : raw) / BITS_PER_BYTE;
    if (name !== '') {
      if (!isBitField && !offsets.has(name)) offsets.set(name, offset);
      continue;
    }
    const inner = strip(types, types.tail(id, i * 3 + 1));
    if (isRecord(types, inner) && depth < DEPTH_MAX) collect(types, inner, offset, depth + 1, offsets);
  }
}

/** The first struct or union of that tag that has members. */
export function findStruct(types: BtfTypes, count: number, tag: string): StructLayout | undefined {
  for (let id = 1; id < count; id++) {
    if (!isRecord(types, id) || types.vlen(id) === 0 || types.name(id) !== tag) continue;
    const offsets = new Map<string, number>();
    collect(types, id, 0, 0, offsets);
    return { size: types.sizeOrType(id), offsets };
  }
  return undefined;
}
