/**
 * What the real CPU has beside the programs: one area of machine code, never writable and executable at once, and one of data. Offsets count
 * from the beginning of the code area, which takes the place of `_text`.
 */

/** BPF helper 5 of the conformance suite: returns its argument. */
export const IDENTITY_HELPER = 5;
/** `mov %rdi,%rax; ret` */
export const IDENTITY = { at: 0, bytes: Uint8Array.of(0x48, 0x89, 0xf8, 0xc3) } as const;
/** A call by register: number 5 is the identity, any other traps. `cmp $5,%rax; jne 1f; mov %rdi,%rax; ret; 1: ud2` */
export const CALLX = {
  at: 16,
  bytes: Uint8Array.of(0x48, 0x83, 0xf8, 0x05, 0x75, 0x04, 0x48, 0x89, 0xf8, 0xc3, 0x0f, 0x0b),
} as const;
/** Where programs may begin. */
export const PROGRAMS_AT = 64;
export const CODE_AREA_SIZE = 8 * 1024 * 1024;
export const DATA_AREA_SIZE = 1024 * 1024;

export interface NativeRun {
  /** First byte of the program in the code area. */
  readonly entry: number;
  /** Copied to the data area; R1 points at it, or is 0 when it is empty; R2 is its length. */
  readonly memory: Uint8Array;
  /** Times to call it; the last result counts. Default 1. */
  readonly repeat?: number;
}

export interface NativeResult {
  readonly value: bigint;
  /** What is in the memory afterwards. */
  readonly memory: Uint8Array;
  /** Of all its calls, measured around them. */
  readonly elapsedNs: number;
}

export interface NativeBatch {
  /** Goes to `PROGRAMS_AT`. */
  readonly code: Uint8Array;
  readonly runs: readonly NativeRun[];
}

export type ToChild = { readonly batch: NativeBatch };
export type FromChild =
  | { readonly kind: 'ready'; readonly base: bigint; readonly dataBase: bigint }
  | { readonly kind: 'done'; readonly results: readonly NativeResult[] };
