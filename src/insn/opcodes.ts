/**
 * Opcode bytes and sizes that text patching names, in Linux's words (arch/x86/include/asm/text-patching.h, 6.12).
 */
export const INT3_INSN_OPCODE = 0xcc;
export const INT3_INSN_SIZE = 1;
export const RET_INSN_OPCODE = 0xc3;
export const RET_INSN_SIZE = 1;
export const CALL_INSN_OPCODE = 0xe8;
export const CALL_INSN_SIZE = 5;
export const JMP32_INSN_OPCODE = 0xe9;
export const JMP32_INSN_SIZE = 5;
export const JMP8_INSN_OPCODE = 0xeb;
export const JMP8_INSN_SIZE = 2;
/** `endbr64` and the 4-byte poison that sealing leaves; 0 on a kernel without CONFIG_X86_KERNEL_IBT. */
export const ENDBR_INSN_SIZE = 4;
/** Longest patched instruction a poke carries: what follows the opcode fits five bytes. */
export const POKE_MAX_OPCODE_SIZE = 5;
/** No x86 instruction is longer (SDM vol. 2, 2.3.11). */
export const MAX_INSN_SIZE = 15;

/** ModRM of `0f 0b`, `0f b9`, `0f ff`: the second opcode byte of UD2, UD1, UD0. */
export const UD2_SECOND_BYTE = 0x0b;
export const UD1_SECOND_BYTE = 0xb9;
export const UD0_SECOND_BYTE = 0xff;
