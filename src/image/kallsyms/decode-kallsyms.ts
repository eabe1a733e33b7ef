import type { ByteView } from '../byte-view.ts';
import { refuse } from '../malformed.ts';
import { NAME_MAX, NAMES_SIZE_MAX, type RawSymbols } from '../raw-symbols.ts';
import type { KallsymsAddresses, KallsymsLayout } from './find-kallsyms.ts';

/** Kernel text lies in the last 2 GiB of the address space (Documentation/arch/x86/x86_64/mm.rst). */
const KERNEL_MIN = 0xffff_ffff_8000_0000n;

interface Tokens {
  readonly bytes: Uint8Array;
  readonly start: Uint32Array;
  readonly end: Uint32Array;
}

function readTokens(view: ByteView, layout: KallsymsLayout): Tokens {
  const start = new Uint32Array(256);
  const end = new Uint32Array(256);
  for (let token = 0; token < 256; token++) {
    const at = layout.tokenTable + view.u16(layout.tokenIndex + token * 2);
    start[token] = at;
    end[token] = view.bytes.indexOf(0, at);
  }
  return { bytes: view.bytes, start, end };
}

function expandedLength(tokens: Tokens, at: number, length: number): number {
  let total = 0;
  for (let i = at; i < at + length; i++) {
    const token = tokens.bytes[i] as number;
    total += (tokens.end[token] as number) - (tokens.start[token] as number);
  }
  return total;
}

/** Expands all names into one blob; the first character of each record is the nm letter. */
function decodeNames(view: ByteView, layout: KallsymsLayout): Pick<RawSymbols, 'names' | 'nameStart' | 'types'> {
  const tokens = readTokens(view, layout);
  const nameStart = new Uint32Array(layout.count + 1);
  const types = new Uint8Array(layout.count);
  let names = new Uint8Array(layout.count * 24 + NAME_MAX);
  let out = 0;
  let at = layout.names;
  for (let symbol = 0; symbol < layout.count; symbol++) {
    const first = view.u8(at);
    const length = first < 0x80 ? first : (first & 0x7f) | (view.u8(at + 1) << 7);
    at += first < 0x80 ? 1 : 2;
    const expanded = expandedLength(tokens, at, length);
    if (expanded < 2 || expanded > NAME_MAX)
      refuse('kallsyms_names', at, `symbol ${symbol} has ${expanded} characters`);
    if (out > NAMES_SIZE_MAX) refuse('kallsyms_names', at, `names of more than ${NAMES_SIZE_MAX} characters`);
    if (out + NAME_MAX > names.length) {
      const grown = new Uint8Array(names.length * 2);
      grown.set(names);
      names = grown;
    }
    nameStart[symbol] = out;
    let isFirst = true;
    for (const stop = at + length; at < stop; at++) {
      const token = tokens.bytes[at] as number;
      const end = tokens.end[token] as number;
      for (let i = tokens.start[token] as number; i < end; i++) {
        if (isFirst) {
          types[symbol] = tokens.bytes[i] as number;
          isFirst = false;
        } else names[out++] = tokens.bytes[i] as number;
      }
    }
  }
  nameStart[layout.count] = out;
  return { names: names.slice(0, out), nameStart, types };
}

/**
 * Addresses of one candidate place, or undefined when they are none: they must ascend and reach into kernel space. With
 * CONFIG_KALLSYMS_ABSOLUTE_PERCPU kernel symbols are stored negative (base - 1 - offset) and per-CPU ones as they are; without it all are
 * unsigned distances from the base, which in a kernel under 2 GiB never look negative. So the sign tells.
 */
function decodeAddresses(view: ByteView, count: number, place: KallsymsAddresses): BigUint64Array | undefined {
  const addresses = new BigUint64Array(count);
  if (place.kind === 'absolute') {
    for (let i = 0; i < count; i++) addresses[i] = view.u64(place.at + i * 8);
  } else {
    const base = view.u64(place.relativeBase);
    if (base < KERNEL_MIN) return undefined;
    let isAbsolutePercpu = false;
    for (let i = 0; i < count && !isAbsolutePercpu; i++) isAbsolutePercpu = view.s32(place.offsets + i * 4) < 0;
    for (let i = 0; i < count; i++) {
      const offset = view.s32(place.offsets + i * 4);
      if (!isAbsolutePercpu) addresses[i] = base + BigInt(offset);
      else addresses[i] = offset >= 0 ? BigInt(offset) : base - 1n - BigInt(offset);
    }
  }
  for (let i = 1; i < count; i++) {
    if ((addresses[i] as bigint) < (addresses[i - 1] as bigint)) return undefined;
  }
  return (addresses[count - 1] as bigint) >= KERNEL_MIN ? addresses : undefined;
}

/** All symbols, ascending by address as the table has them. */
export function decodeKallsyms(view: ByteView, layout: KallsymsLayout): RawSymbols {
  for (const place of layout.addresses) {
    const addresses = decodeAddresses(view, layout.count, place);
    if (addresses !== undefined) return { count: layout.count, addresses, ...decodeNames(view, layout) };
  }
  return refuse('kallsyms_offsets', layout.names, 'no table of ascending kernel addresses stands beside the names');
}
