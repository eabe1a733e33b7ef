import type { KernelAddress } from '../base/index.ts';
import type { KernelVersion } from './kernel-image.ts';

/**
 * A kernel as the file has it, before boot-time patching: sections with their on-disk bytes and the symbols. All offsets count from `_text`
 * and may lie in any section of the kernel's link range (tables live behind .text).
 */
export interface RawKernel {
  readonly release: string;
  readonly version: KernelVersion;
  readonly base: KernelAddress;
  readonly sections: readonly RawSection[];
  /** Section by name; undefined when the file has none. */
  section(name: string): RawSection | undefined;
  /** On-disk bytes at an offset, a view that must not be written; undefined when not wholly inside one section with contents. */
  read(offset: number, length: number): Uint8Array | undefined;
  /** Offset of a symbol (first of that name); undefined when unknown. */
  symbolOffset(name: string): number | undefined;
  /** Value of a symbol as an address, also of absolute and per-CPU symbols. */
  symbolAddress(name: string): KernelAddress | undefined;
  /** Name of the symbol that contains an offset, as `name+0x10`, for messages. */
  describe(offset: number): string;
}

export interface RawSection {
  readonly name: string;
  /** From `_text`; undefined when the section does not lie in [_text, _text + 2^32) (.data..percpu of 6.12). */
  readonly offset: number | undefined;
  readonly address: KernelAddress;
  readonly size: number;
  readonly executable: boolean;
  readonly writable: boolean;
  /** Empty for NOBITS. */
  readonly bytes: Uint8Array;
}
