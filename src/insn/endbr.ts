/** `endbr64`. */
export const ENDBR64: Uint8Array = Uint8Array.of(0xf3, 0x0f, 0x1e, 0xfa);
/** What sealing writes over the `endbr64` of a function that is never called indirectly: `nopw (%rax)`. */
export const ENDBR_POISON: Uint8Array = Uint8Array.of(0x66, 0x0f, 0x1f, 0x00);

/**
 * True for `endbr64`, `endbr32` and the poison (`is_endbr`, arch/x86/include/asm/ibt.h, 6.12). On a kernel without
 * CONFIG_X86_KERNEL_IBT Linux always answers false; there the caller does not ask.
 */
export function isEndbr(bytes: Uint8Array, at = 0): boolean {
  if (bytes.length < at + 4) return false;
  const b0 = bytes[at];
  const b1 = bytes[at + 1];
  const b2 = bytes[at + 2];
  const b3 = bytes[at + 3];
  if (b0 === 0x66) return b1 === 0x0f && b2 === 0x1f && b3 === 0x00;
  return b0 === 0xf3 && b1 === 0x0f && b2 === 0x1e && (b3 === 0xfa || b3 === 0xfb);
}
