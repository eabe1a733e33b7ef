import type { Result } from '../base/index.ts';
import { err, kernelAddress, ok } from '../base/index.ts';
import { type ByteView, byteView } from './byte-view.ts';
import type { Section } from './kernel-image.ts';
import { catchingMalformed, malformed, refuse, unsupported } from './malformed.ts';

const HEADER_SIZE = 64;
const SECTION_HEADER_SIZE = 64;
const EM_NONE = 0;
const EM_X86_64 = 62;
const EM_BPF = 247;
const ET_REL = 1;
const ET_EXEC = 2;
const SHT_NOBITS = 8;
const SHF_WRITE = 1n;
const SHF_ALLOC = 2n;
const SHF_EXECINSTR = 4n;
const SHF_COMPRESSED = 0x800n;
/** Sections of a vmlinux number about 50, about 100 with debug info. */
const SECTIONS_MAX = 4096;
const NAME_MAX = 256;

export interface ElfSection extends Section {
  readonly isAlloc: boolean;
  /** sh_type. */
  readonly type: number;
  readonly link: number;
  /** sh_info: for relocations, the section that they change. */
  readonly info: number;
  readonly alignment: number;
  readonly entrySize: number;
  /** A view into the file; empty for NOBITS. */
  readonly bytes: Uint8Array;
}

/** A linked kernel, a module, or what clang makes for BPF. */
export type ElfType = 'executable' | 'relocatable' | 'bpf';

export const isElf = (file: Uint8Array): boolean =>
  file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;

/** What is wrong with the identification for our purposes; undefined when nothing is. */
function refusal(elf: ByteView, wanted: ElfType): string | undefined {
  if (wanted === 'bpf') return bpfRefusal(elf);
  if (elf.u8(4) !== 2) return `ELF of ${elf.u8(4) === 1 ? '32' : 'unknown'} bits: only x86-64 kernels are read`;
  if (elf.u8(5) !== 1) return 'big-endian ELF: only x86-64 kernels are read';
  const machine = elf.u16(18);
  if (machine !== EM_X86_64) return `ELF machine ${machine}: only x86-64 (${EM_X86_64}) kernels are read`;
  const type = elf.u16(16);
  if (wanted === 'executable' && type !== ET_EXEC) return `ELF type ${type}: only linked kernels (ET_EXEC) are read`;
  if (wanted === 'relocatable' && type !== ET_REL) return `ELF type ${type}: a module is relocatable (ET_REL)`;
  return undefined;
}

/** As bpf_object__elf_init (tools/lib/bpf/libbpf.c, 6.12), which takes the machine number 0 of compilers before LLVM 4, too. */
function bpfRefusal(elf: ByteView): string | undefined {
  if (elf.u8(4) !== 2) return `ELF of ${elf.u8(4) === 1 ? '32' : 'unknown'} bits: a BPF object has 64`;
  if (elf.u8(5) !== 1) return 'big-endian ELF: the kernels here are little-endian (clang -target bpfel)';
  const machine = elf.u16(18);
  if (machine !== EM_BPF && machine !== EM_NONE) return `ELF machine ${machine}: a BPF object has ${EM_BPF}`;
  const type = elf.u16(16);
  return type === ET_REL ? undefined : `ELF type ${type}: a BPF object is relocatable (ET_REL)`;
}

function nameAt(strings: Uint8Array, at: number): string {
  if (at >= strings.length) refuse('section name', at, 'outside .shstrtab');
  const end = strings.indexOf(0, at);
  if (end < 0 || end - at > NAME_MAX) refuse('section name', at, 'unterminated');
  return Buffer.from(strings.buffer, strings.byteOffset + at, end - at).toString('latin1');
}

function contents(elf: ByteView, header: number, flags: bigint): Uint8Array {
  if (elf.u32(header + 4) === SHT_NOBITS) return new Uint8Array(0);
  const at = elf.size(header + 24);
  const size = elf.size(header + 32);
  if (at + size > elf.length) {
    refuse('ELF section header', header, `contents 0x${at.toString(16)}+0x${size.toString(16)} end past the file`);
  }
  if ((flags & SHF_COMPRESSED) !== 0n && (flags & SHF_ALLOC) !== 0n) {
    refuse('ELF section header', header, 'a loaded section cannot be compressed');
  }
  return elf.slice(at, size);
}

function readSections(elf: ByteView): ElfSection[] {
  const table = elf.size(40);
  const entrySize = elf.u16(58);
  const count = elf.u16(60);
  const stringsIndex = elf.u16(62);
  if (entrySize !== SECTION_HEADER_SIZE) refuse('ELF header', 58, `section headers of ${entrySize} bytes`);
  if (count === 0 || count > SECTIONS_MAX) refuse('ELF header', 60, `${count} section headers`);
  if (table + count * entrySize > elf.length) {
    refuse('ELF header', 40, `section headers at 0x${table.toString(16)} end past the file`);
  }
  if (stringsIndex >= count) refuse('ELF header', 62, `names in section ${stringsIndex} of ${count}`);
  const strings = contents(elf, table + stringsIndex * entrySize, 0n);
  return Array.from({ length: count }, (_, index): ElfSection => {
    const header = table + index * entrySize;
    const flags = elf.u64(header + 8);
    return {
      name: index === 0 ? '' : nameAt(strings, elf.u32(header)),
      type: elf.u32(header + 4),
      address: kernelAddress(elf.u64(header + 16)),
      size: index === 0 ? 0 : elf.size(header + 32),
      executable: (flags & SHF_EXECINSTR) !== 0n,
      writable: (flags & SHF_WRITE) !== 0n,
      isAlloc: (flags & SHF_ALLOC) !== 0n,
      link: elf.u32(header + 40),
      info: elf.u32(header + 44),
      alignment: index === 0 ? 0 : elf.size(header + 48),
      entrySize: elf.size(header + 56),
      bytes: index === 0 ? new Uint8Array(0) : contents(elf, header, flags),
    };
  });
}

/**
 * Sections of an ELF64 x86-64 executable, of a relocatable file, or of a BPF object, in file order, index 0 (the null section) included. Bytes after the ELF's own (the relocations
 * that a kernel's build appends, arch/x86/tools/relocs.c) do not disturb.
 */
export function readElf(file: Uint8Array, wanted: ElfType = 'executable'): Result<readonly ElfSection[]> {
  if (!isElf(file)) return err(malformed('ELF header', 0, 'no \\x7fELF'));
  if (file.length < HEADER_SIZE) return err(malformed('ELF header', 0, `only ${file.length} bytes`));
  // A plain Uint8Array whatever came in: slice() of a Buffer is a view, and sections are copied with slice().
  return catchingRefusal(byteView(new Uint8Array(file.buffer, file.byteOffset, file.length), 'ELF'), wanted);
}

function catchingRefusal(elf: ByteView, wanted: ElfType): Result<readonly ElfSection[]> {
  const why = refusal(elf, wanted);
  if (why !== undefined) return err(unsupported(why));
  const sections = catchingMalformed(() => readSections(elf));
  return sections.ok ? ok(sections.value) : sections;
}
