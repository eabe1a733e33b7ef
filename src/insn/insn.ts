/** What an instruction does to the flow of control. `ud` is UD0, UD1, UD2; `loop` covers loop, loope, loopne and jrcxz. */
export type Flow =
  | 'next'
  | 'jmp'
  | 'jcc'
  | 'loop'
  | 'call'
  | 'ret'
  | 'ret-far'
  | 'jmp-indirect'
  | 'call-indirect'
  | 'far'
  | 'iret'
  | 'syscall'
  | 'hlt'
  | 'int3'
  | 'int'
  | 'ud';

export const PREFIX_OPERAND_SIZE = 0x001;
export const PREFIX_ADDRESS_SIZE = 0x002;
export const PREFIX_LOCK = 0x004;
export const PREFIX_REPNE = 0x008;
export const PREFIX_REP = 0x010;
export const PREFIX_CS = 0x020;
export const PREFIX_SS = 0x040;
export const PREFIX_DS = 0x080;
export const PREFIX_ES = 0x100;
export const PREFIX_FS = 0x200;
export const PREFIX_GS = 0x400;

/**
 * One decoded instruction, in the terms of the kernel's `struct insn` (arch/x86/include/asm/insn.h): the bytes it is made of and
 * where each field stands. Offsets of fields count from the instruction's first byte.
 */
export interface Insn {
  /** Where it stands, counted from `_text`. */
  readonly offset: number;
  readonly length: number;
  /** Set of PREFIX_* bits. */
  readonly prefixes: number;
  /** The REX byte, 0 when there is none. */
  readonly rex: number;
  /** Bytes of a VEX (2, 3) or EVEX (4) prefix, else 0. */
  readonly vex: 0 | 2 | 3 | 4;
  /** True for the Xen or KVM forced-emulation prefix (`ud2; .ascii "xen"` / `"kvm"`), which length includes. */
  readonly isForcedEmulation: boolean;
  /** First opcode byte (after VEX or EVEX the only one). */
  readonly opcode: number;
  /** Second and third opcode byte of the `0f`, `0f 38` and `0f 3a` maps, else -1. */
  readonly opcode2: number;
  readonly opcode3: number;
  /** Bytes of opcode: 1, 2 or 3. */
  readonly opcodeBytes: number;
  readonly modrm: number;
  readonly sib: number;
  readonly displacement: Field;
  /** The first immediate, sign-extended from its size; 8-byte ones are read with 53 bits. */
  readonly immediate: Field;
  /** 8, or 4 with an address-size prefix. */
  readonly addressBytes: 4 | 8;
  /** 2, 4 or 8. */
  readonly operandBytes: 2 | 4 | 8;
  readonly flow: Flow;
  /** Destination of a near direct branch, counted from `_text`. */
  readonly target?: number;
  /** Low nibble of a jcc's opcode. */
  readonly condition?: number;
  /** The memory operand that is addressed from %rip: where its displacement stands in the instruction, and what it refers to. */
  readonly ripRelative?: { readonly dispOffset: number; readonly target: number };
  /** `endbr64`, `endbr32` or the sealed poison. */
  readonly isEndbr: boolean;
  /** #UD in 64-bit mode; the kernel's decoder nevertheless measures it, and so do we. */
  readonly isInvalid64: boolean;
}

/** A field of an instruction; `size` 0 when it has none. */
export interface Field {
  readonly offset: number;
  readonly size: number;
  readonly value: number;
}

export const modrmMod = (modrm: number): number => (modrm >> 6) & 3;
export const modrmReg = (modrm: number): number => (modrm >> 3) & 7;
export const modrmRm = (modrm: number): number => modrm & 7;
