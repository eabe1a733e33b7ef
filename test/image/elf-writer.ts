import { byteWriter } from './byte-writer.ts';

/** A section to be written; `bytes` undefined makes it NOBITS. */
export interface WrittenSection {
  readonly name: string;
  readonly address: bigint;
  readonly flags: string;
  readonly bytes?: Uint8Array;
  readonly size?: number;
  readonly type?: number;
  readonly link?: string;
  readonly entrySize?: number;
}

const SHT_PROGBITS = 1;
const SHT_STRTAB = 3;
const SHT_NOBITS = 8;
const FLAG_BITS: Readonly<Record<string, bigint>> = { W: 1n, A: 2n, X: 4n };

const flagBits = (flags: string): bigint => [...flags].reduce((bits, flag) => bits | (FLAG_BITS[flag] ?? 0n), 0n);

/** An ELF64 x86-64 executable of these sections (without program headers, which nobody here reads). */
export function writeElf(
  sections: readonly WrittenSection[],
  overrides: { readonly type?: number; readonly machine?: number } = {},
): Uint8Array {
  const strings = byteWriter().u8(0);
  const all: readonly WrittenSection[] = [
    ...sections,
    { name: '.shstrtab', address: 0n, flags: '', type: SHT_STRTAB, bytes: new Uint8Array(0) },
  ];
  const nameAt = all.map((section) => {
    const at = strings.length;
    strings.text(section.name).u8(0);
    return at;
  });
  const file = byteWriter();
  file.bytes([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]).u64(0n);
  file
    .u16(overrides.type ?? 2)
    .u16(overrides.machine ?? 62)
    .u32(1)
    .u64(0x1000000n)
    .u64(0n)
    .u64(0n)
    .u32(0)
    .u16(64)
    .u16(56)
    .u16(0);
  file
    .u16(64)
    .u16(all.length + 1)
    .u16(all.length);
  const placed = all.map((section) => {
    const bytes = section.name === '.shstrtab' ? strings.done() : section.bytes;
    file.align(64);
    const at = file.length;
    if (bytes !== undefined) file.bytes(bytes);
    return { section, at, size: bytes?.length ?? section.size ?? 0 };
  });
  file.align(8);
  const table = file.length;
  file.bytes(new Uint8Array(64));
  placed.forEach(({ section, at, size }, i) => {
    const link = section.link === undefined ? 0 : all.findIndex((each) => each.name === section.link) + 1;
    const type = section.type ?? (section.bytes === undefined ? SHT_NOBITS : SHT_PROGBITS);
    file
      .u32(nameAt[i] as number)
      .u32(type)
      .u64(flagBits(section.flags))
      .u64(section.address)
      .u64(BigInt(at))
      .u64(BigInt(size));
    file
      .u32(link)
      .u32(0)
      .u64(16n)
      .u64(BigInt(section.entrySize ?? 0));
  });
  file.patch32(40, table);
  return file.done();
}
