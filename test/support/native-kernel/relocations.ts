import { readFileSync } from 'node:fs';
import { type KernelAddress, kernelAddress } from '../../../src/base/index.ts';
import { type ElfSection, readElf } from '../../../src/image/elf.ts';
import { unwrapKernel } from '../../../src/image/unwrap.ts';

/**
 * Where a kernel's file holds addresses that move with it: what its build appends for KASLR. From the end: places of 32-bit words, a zero, places of
 * 32-bit words that count the other way (what refers to per-CPU variables, which stay), a zero, places of 64-bit words, a zero. A place is an
 * address, of which the low half is written. Source: arch/x86/tools/relocs.c, arch/x86/boot/compressed/misc.c handle_relocations (6.1, 6.12).
 */
export interface Relocations {
  readonly words32: readonly KernelAddress[];
  readonly inverse32: readonly KernelAddress[];
  readonly words64: readonly KernelAddress[];
}

export interface RelocatableKernel {
  readonly sections: readonly ElfSection[];
  readonly relocations: Relocations;
}

const HIGH = 0xffff_ffff_0000_0000n;

function readTrailer(bytes: Buffer): Relocations {
  let at = bytes.length - 4;
  const list = (): readonly KernelAddress[] => {
    const places: KernelAddress[] = [];
    for (; bytes.readUInt32LE(at) !== 0; at -= 4) places.push(kernelAddress(HIGH | BigInt(bytes.readUInt32LE(at))));
    at -= 4;
    return places;
  };
  return { words32: list(), inverse32: list(), words64: list() };
}

/** Sections and relocations of a kernel's file. Throws where it has none. */
export async function readRelocatable(path: string): Promise<RelocatableKernel> {
  const unwrapped = await unwrapKernel(readFileSync(path));
  if (!unwrapped.ok) throw new Error(unwrapped.fault.detail);
  const { elf } = unwrapped.value;
  const sections = readElf(elf);
  if (!sections.ok) throw new Error(sections.fault.detail);
  return {
    sections: sections.value,
    relocations: readTrailer(Buffer.from(elf.buffer, elf.byteOffset, elf.byteLength)),
  };
}
