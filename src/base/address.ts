/**
 * Addresses. Inside, a place in text is a {@link TextOffset}: the distance from `_text`, a plain number that covers the image
 * and the arena of generated code (0xffffffffc0000000–0xffffffffff000000). At the edges it is a {@link KernelAddress} (bigint),
 * on the wire a `0x` hex string: kernel addresses do not fit a double.
 */
export type TextOffset = number & { readonly __brand: 'TextOffset' };
export type KernelAddress = bigint & { readonly __brand: 'KernelAddress' };

const U64 = 0xffff_ffff_ffff_ffffn;

export const textOffset = (value: number): TextOffset => value as TextOffset;
export const kernelAddress = (value: bigint): KernelAddress => (value & U64) as KernelAddress;

export const toAddress = (base: KernelAddress, offset: number): KernelAddress => kernelAddress(base + BigInt(offset));

/** Distance of an address from `base`; undefined when it is below it or 2^32 and more above. */
export function toOffset(base: KernelAddress, address: bigint): TextOffset | undefined {
  const distance = address - base;
  return distance >= 0n && distance < 0x1_0000_0000n ? textOffset(Number(distance)) : undefined;
}

/** `"0xffffffff81a3c4d0"`, the wire form. */
export const formatAddress = (address: bigint): string => `0x${(address & U64).toString(16).padStart(16, '0')}`;

/** Reads the wire form (1 to 16 hex digits, either case); undefined when it is anything else. */
export function parseAddress(text: string): KernelAddress | undefined {
  return /^0x[0-9a-fA-F]{1,16}$/.test(text) ? kernelAddress(BigInt(text)) : undefined;
}
