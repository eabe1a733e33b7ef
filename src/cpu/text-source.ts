/**
 * Text that somebody else owns and changes: KernelText fits. Offsets count from the address it is mapped at.
 */
export interface TextSource {
  /** True when every byte of [offset, offset + length) exists. */
  contains(offset: number, length: number): boolean;
  u8(offset: number): number;
  /** A copy. */
  bytes(offset: number, length: number): Uint8Array;
  /** Changes whenever a byte may have changed. Decoded instructions are compared with the bytes again when it does. */
  readonly generation: number;
}
