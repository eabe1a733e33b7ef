const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/**
 * The kernel's canonical NOPs by length, 1 to 11 (index 0 is empty): `x86_nops`, arch/x86/kernel/alternative.c and
 * arch/x86/include/asm/nops.h (6.12). 6.1 has 1 to 8, the same bytes; 9 to 11 came later.
 */
export const X86_NOPS: readonly Uint8Array[] = [
  hex(''),
  hex('90'),
  hex('6690'),
  hex('0f1f00'),
  hex('0f1f4000'),
  hex('0f1f440000'),
  hex('660f1f440000'),
  hex('0f1f8000000000'),
  hex('0f1f840000000000'),
  hex('2e0f1f840000000000'),
  hex('662e0f1f840000000000'),
  hex('66662e0f1f840000000000'),
];

/** `ASM_NOP_MAX` of 6.12 and of 6.1. */
export const ASM_NOP_MAX = 11;
export const ASM_NOP_MAX_6_1 = 8;

/** A copy of the canonical NOP of `length` bytes (1 to 11). */
export function nop(length: number): Uint8Array {
  const bytes = X86_NOPS[length];
  if (bytes === undefined || length === 0) throw new RangeError(`no canonical nop of ${length} bytes`);
  return bytes.slice();
}

/** The five-byte NOP of every idle patch site: `nopl 0x0(%rax,%rax,1)`. */
export const NOP5: Uint8Array = nop(5);
/** The two-byte NOP of short jump labels: `xchg %ax,%ax`. */
export const NOP2: Uint8Array = nop(2);

/** True when the bytes at `at` are the canonical NOP of `length` bytes. */
export function isNop(bytes: Uint8Array, length: number, at = 0): boolean {
  const wanted = X86_NOPS[length];
  if (wanted === undefined || length === 0 || bytes.length < at + length) return false;
  return wanted.every((byte, i) => bytes[at + i] === byte);
}

/** Fills `length` bytes with as few canonical NOPs as possible, longest first (jit.c emit_nops; add_nops). */
export function fillNops(length: number, max = 8): Uint8Array {
  const out = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const size = Math.min(length - at, max);
    out.set(nop(size), at);
    at += size;
  }
  return out;
}
