import { type HashChains, hashBytes, hashChains } from '../byte-hash.ts';
import type { ByteView } from '../byte-view.ts';
import { refuse } from '../malformed.ts';
import { BTF_KIND, infoKind, readBtfLayout, readTypeStarts } from './btf-format.ts';

export interface BtfIndex {
  /** Place of each type in .BTF by id. */
  readonly typeStart: Uint32Array;
  /** Ids of the FUNCs, ascending. */
  readonly functions: Uint32Array;
  /** Hash of their names. */
  readonly chains: HashChains;
}

/** Names in BTF are C identifiers (btf_name_valid_identifier, kernel/bpf/btf.c: below KSYM_NAME_LEN, 512). */
const NAME_MAX = 512;

/** End of the NUL-terminated string at `start`, cut at the longest name there may be. */
export function stringEnd(bytes: Uint8Array, start: number): number {
  let end = start;
  while (bytes[end] !== 0 && end - start < NAME_MAX) end++;
  return end;
}

/** Walks the whole type section once, so that everything later is a look-up. Refuses a section whose structure does not hold. */
export function indexBtf(view: ByteView): BtfIndex {
  const layout = readBtfLayout(view);
  const typeStart = readTypeStarts(view, layout);
  const ids: number[] = [];
  for (let id = 1; id < typeStart.length; id++) {
    if (infoKind(view.u32((typeStart[id] as number) + 4)) === BTF_KIND.FUNC) ids.push(id);
  }
  const functions = Uint32Array.from(ids);
  const chains = hashChains(functions.length, (i) => {
    const type = typeStart[functions[i] as number] as number;
    const start = layout.strings + view.u32(type);
    const end = stringEnd(view.bytes, start);
    if (view.bytes[end] !== 0) refuse('.BTF strings', start, `a function name of more than ${NAME_MAX} characters`);
    return hashBytes(view.bytes, start, end);
  });
  return { typeStart, functions, chains };
}
