import type { KernelAddress } from '../../base/index.ts';
import { kernelAddress, toOffset } from '../../base/index.ts';
import type { RawKernel } from '../raw-kernel.ts';

/** Reads the kernel's initialised data as it is linked: addresses equal the link addresses (no KASLR). */
export function readU64(kernel: RawKernel, offset: number): bigint | undefined {
  const bytes = kernel.read(offset, 8);
  if (bytes === undefined) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
}

export function readU32(kernel: RawKernel, offset: number): number | undefined {
  const bytes = kernel.read(offset, 4);
  if (bytes === undefined) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

/** A pointer into the image, as an offset from `_text`; `null` for NULL, undefined when unreadable or elsewhere. */
export function readPointer(kernel: RawKernel, offset: number): number | null | undefined {
  const value = readU64(kernel, offset);
  if (value === undefined) return undefined;
  return value === 0n ? null : toOffset(kernel.base, value);
}

export const addressOffset = (kernel: RawKernel, address: bigint): number | undefined =>
  toOffset(kernel.base, kernelAddress(address) as KernelAddress);

const STRING_MAX = 256;

/** A C string; undefined when unreadable or longer than 256 bytes. */
export function readString(kernel: RawKernel, offset: number): string | undefined {
  let text = '';
  for (let i = 0; i < STRING_MAX; i++) {
    const byte = kernel.read(offset + i, 1)?.[0];
    if (byte === undefined) return undefined;
    if (byte === 0) return text;
    text += String.fromCharCode(byte);
  }
  return undefined;
}

/** Name of the symbol that contains an offset; undefined when none does. */
export function symbolAround(kernel: RawKernel, offset: number): string | undefined {
  const name = kernel.describe(offset).replace(/\+0x[0-9a-f]+$/, '');
  return name.startsWith('0x') ? undefined : name;
}

/** Name of the symbol that starts at an offset; undefined inside of one. */
export function symbolAt(kernel: RawKernel, offset: number): string | undefined {
  const name = symbolAround(kernel, offset);
  return name !== undefined && /^[^+]+(?:\+0x0)?$/.test(kernel.describe(offset)) ? name : undefined;
}
