import { err, type Fault, type KernelAddress, kernelAddress, ok, type Result, toOffset } from '../base/index.ts';
import type { HashChains } from './byte-hash.ts';
import { byteView } from './byte-view.ts';
import { UNPACKED_MAX } from './codec/decompress.ts';
import { type ElfSection, readElf } from './elf.ts';
import { readSymtab } from './elf-symtab.ts';
import { decodeKallsyms } from './kallsyms/decode-kallsyms.ts';
import { findKallsyms } from './kallsyms/find-kallsyms.ts';
import type { KernelVersion } from './kernel-image.ts';
import { catchingMalformed, malformed, unsupported } from './malformed.ts';
import type { RawKernel, RawSection } from './raw-kernel.ts';
import { type RawSymbols, symbolName } from './raw-symbols.ts';
import { containingIndex, firstIndexOf, hashNames } from './symbol-index.ts';
import { unwrapKernel } from './unwrap.ts';

const BANNER = 'Linux version ';
const BANNER_MAX = 512;
const RELEASE_PATTERN = /^Linux version (\S{1,64})(?: |$)/;

/** A raw kernel with its symbols as columns, for the packer of this room. */
export interface RawKernelWithSymbols extends RawKernel {
  readonly symbols: RawSymbols;
  /** Hash table of their names (symbol-index.ts). */
  readonly chains: HashChains;
}

/** kallsyms from wherever it lies: .rodata first, then any other section that is loaded and not code. */
function readKallsyms(sections: readonly ElfSection[]): RawSymbols | undefined {
  const places = sections.filter((s) => s.isAlloc && !s.executable && s.bytes.length > 0);
  places.sort((a, b) => Number(b.name === '.rodata') - Number(a.name === '.rodata'));
  for (const section of places) {
    const view = byteView(section.bytes, `kallsyms in ${section.name}`);
    const layout = findKallsyms(view);
    if (layout !== undefined) return decodeKallsyms(view, layout);
  }
  return undefined;
}

/** The text of linux_banner: at its symbol, or wherever else it stands. */
function findBanner(
  sections: readonly RawSection[],
  read: RawKernel['read'],
  banner: number | undefined,
): string | undefined {
  if (banner !== undefined) {
    for (const length of [BANNER_MAX, 128, 64]) {
      const bytes = read(banner, length);
      if (bytes !== undefined) return Buffer.from(bytes).toString('latin1');
    }
  }
  for (const section of sections) {
    if (section.executable) continue;
    const bytes = Buffer.from(section.bytes.buffer, section.bytes.byteOffset, section.bytes.length);
    const found = bytes.indexOf(BANNER);
    if (found >= 0) return bytes.toString('latin1', found, found + BANNER_MAX);
  }
  return undefined;
}

/**
 * The version a banner stands for. A distribution's release may stop counting (`6.1.0-55` is 6.1.192): Debian's banner then names the
 * version it was built from (`Debian 6.1.192-1`).
 */
export function parseVersion(release: string, banner = ''): KernelVersion | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6}))?/.exec(release);
  if (match === null) return undefined;
  const upstream = new RegExp(`Debian ${match[1]}\\.${match[2]}\\.(\\d{1,6})-`).exec(banner)?.[1];
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(upstream ?? match[3] ?? 0) };
}

function rawSections(sections: readonly ElfSection[], base: KernelAddress): RawSection[] {
  return sections
    .filter((s) => s.isAlloc && s.size > 0)
    .map((s) => ({
      name: s.name,
      offset: toOffset(base, s.address),
      address: s.address,
      size: s.size,
      executable: s.executable,
      writable: s.writable,
      bytes: s.bytes,
    }));
}

/** What the sections claim must fit the file once: overlapping ones would multiply what is copied. */
function overlap(sections: readonly RawSection[]): Fault | undefined {
  const placed = sections.filter((s) => s.bytes.length > 0).sort((a, b) => (a.address < b.address ? -1 : 1));
  for (const [i, section] of placed.entries()) {
    const next = placed[i + 1];
    if (next !== undefined && section.address + BigInt(section.bytes.length) > next.address) {
      return malformed('ELF section headers', 0, `${section.name} and ${next.name} overlap`);
    }
  }
  const total = placed.reduce((sum, section) => sum + section.bytes.length, 0);
  if (total > UNPACKED_MAX) return malformed('ELF section headers', 0, `${total} bytes of loaded sections`);
  const buffers = sections.filter((s) => s.bytes.length > 0).sort((a, b) => a.bytes.byteOffset - b.bytes.byteOffset);
  for (const [i, section] of buffers.entries()) {
    const next = buffers[i + 1];
    if (next !== undefined && section.bytes.byteOffset + section.bytes.length > next.bytes.byteOffset) {
      return malformed('ELF section headers', 0, `${section.name} and ${next.name} share bytes of the file`);
    }
  }
  return undefined;
}

/** Finds the section with contents that holds [offset, offset + length). Sections ascend, so a binary search does. */
function reader(sections: readonly RawSection[]): RawKernel['read'] {
  const placed = sections
    .flatMap((s) => (s.offset === undefined || s.bytes.length === 0 ? [] : [{ start: s.offset, bytes: s.bytes }]))
    .sort((a, b) => a.start - b.start);
  return (offset, length) => {
    let low = 0;
    let high = placed.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((placed[middle]?.start ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    const section = placed[low - 1];
    if (section === undefined || length < 0) return undefined;
    const at = offset - section.start;
    return at + length <= section.bytes.length ? section.bytes.subarray(at, at + length) : undefined;
  };
}

function assemble(elf: readonly ElfSection[], symbols: RawSymbols): Result<RawKernelWithSymbols> {
  const text = elf.find((s) => s.name === '.text' && s.executable && s.bytes.length > 0);
  if (text === undefined) return err(malformed('ELF section headers', 0, 'no executable .text with contents'));
  const chains = hashNames(symbols);
  const indexOf = (name: string): number | undefined => firstIndexOf(symbols, chains, name);
  const textSymbol = indexOf('_text');
  const base = kernelAddress(textSymbol === undefined ? text.address : (symbols.addresses[textSymbol] as bigint));
  if (base > text.address || toOffset(base, text.address) === undefined) {
    return err(malformed('symbol _text', 0, `0x${base.toString(16)} is not below .text`));
  }
  const sections = rawSections(elf, base);
  const overlapping = overlap(sections);
  if (overlapping !== undefined) return err(overlapping);
  const byName = new Map<string, RawSection>();
  for (const section of sections) if (!byName.has(section.name)) byName.set(section.name, section);
  const read = reader(sections);
  const symbolAddress = (name: string): KernelAddress | undefined => {
    const index = indexOf(name);
    return index === undefined ? undefined : kernelAddress(symbols.addresses[index] as bigint);
  };
  const symbolOffset = (name: string): number | undefined => {
    const address = symbolAddress(name);
    return address === undefined ? undefined : toOffset(base, address);
  };
  const banner = findBanner(sections, read, symbolOffset('linux_banner')) ?? '';
  const release = RELEASE_PATTERN.exec(banner)?.[1];
  const version = release === undefined ? undefined : parseVersion(release, banner);
  if (release === undefined || version === undefined)
    return err(malformed('linux_banner', 0, 'no "Linux version" and number'));
  const describe = (offset: number): string => {
    const index = containingIndex(symbols.addresses, base + BigInt(offset));
    if (index === undefined) return `0x${offset.toString(16)}`;
    return `${symbolName(symbols, index)}+0x${(base + BigInt(offset) - (symbols.addresses[index] as bigint)).toString(16)}`;
  };
  const section = (name: string): RawSection | undefined => byName.get(name);
  return ok({
    release,
    version,
    base,
    sections,
    section,
    read,
    symbolOffset,
    symbolAddress,
    describe,
    symbols,
    chains,
  });
}

/** Letters of data symbols: kallsyms has them with CONFIG_KALLSYMS_ALL only, and without them no table can be found. */
const DATA_LETTERS = new Set(Buffer.from('dDrRbB'));

const hasDataSymbols = (symbols: RawSymbols): boolean => symbols.types.some((letter) => DATA_LETTERS.has(letter));

/** kallsyms, which is what the running kernel answers from; .symtab where that is missing or incomplete. */
function readSymbols(elf: readonly ElfSection[]): RawSymbols | Fault {
  const kallsyms = readKallsyms(elf);
  if (kallsyms !== undefined && hasDataSymbols(kallsyms)) return kallsyms;
  const symtab = readSymtab(elf);
  if (symtab !== undefined) return symtab;
  if (kallsyms === undefined)
    return unsupported('a kernel with neither kallsyms nor .symtab: its tables cannot be found');
  return unsupported(
    'kallsyms without data symbols (no CONFIG_KALLSYMS_ALL) and no .symtab: its tables cannot be found',
  );
}

/** As {@link readRawKernel}, from an ELF that is already unpacked. */
export function readElfKernel(file: Uint8Array): Result<RawKernelWithSymbols> {
  const elf = readElf(file);
  if (!elf.ok) return elf;
  const symbols = catchingMalformed(() => readSymbols(elf.value));
  if (!symbols.ok) return symbols;
  return 'errno' in symbols.value ? err(symbols.value) : assemble(elf.value, symbols.value);
}

/**
 * Reads a kernel file (bzImage, ELF vmlinux or vmlinux.gz) as it is on disk. The result holds views into the unpacked file, tens of MiB:
 * keep it no longer than needed. `source`, where given, begins the detail of a fault.
 *
 * Errors: `image.malformed` (truncated, corrupted or hostile; names structure and offset), `image.unsupported` (not x86-64, no symbols).
 */
export async function readRawKernel(file: Uint8Array, source?: string): Promise<Result<RawKernelWithSymbols>> {
  const unwrapped = await unwrapKernel(file);
  const kernel = unwrapped.ok ? readElfKernel(unwrapped.value.elf) : unwrapped;
  return kernel.ok || source === undefined
    ? kernel
    : err({ ...kernel.fault, detail: `${source}: ${kernel.fault.detail}` });
}
