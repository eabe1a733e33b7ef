/** Parts of a BPF opcode byte and the names of registers (RFC 9669, sections 3 to 5; include/uapi/linux/bpf.h). */

export const BPF_LD = 0x00;
export const BPF_LDX = 0x01;
export const BPF_ST = 0x02;
export const BPF_STX = 0x03;
export const BPF_ALU = 0x04;
export const BPF_JMP = 0x05;
export const BPF_JMP32 = 0x06;
export const BPF_ALU64 = 0x07;

export const BPF_K = 0x00;
export const BPF_X = 0x08;

export const BPF_W = 0x00;
export const BPF_H = 0x08;
export const BPF_B = 0x10;
export const BPF_DW = 0x18;

export const BPF_IMM = 0x00;
export const BPF_MEM = 0x60;
export const BPF_MEMSX = 0x80;
export const BPF_ATOMIC = 0xc0;
/** Modes that only the verifier makes (include/linux/filter.h, 6.12): loads that fault to 0. */
export const BPF_PROBE_MEM = 0x20;
export const BPF_PROBE_MEMSX = 0x40;
/** The verifier's speculation barrier, mode of the class ST. */
export const BPF_NOSPEC = 0xc0;

export const BPF_FETCH = 0x01;
export const BPF_XCHG = 0xe1;
export const BPF_CMPXCHG = 0xf1;

export const BPF_JA = 0x00;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;
/** Not in the RFC: what the verifier makes of a call of bpf_tail_call (include/linux/filter.h). */
export const BPF_TAIL_CALL = 0xf0;

export const BPF_LD_IMM64 = BPF_LD | BPF_IMM | BPF_DW;

/** What the source field of a call says. */
export const BPF_PSEUDO_CALL = 1;
export const BPF_PSEUDO_KFUNC_CALL = 2;

/** What the source field of a 64-bit immediate says that the immediate is. */
export const BPF_PSEUDO_MAP_FD = 1;
export const BPF_PSEUDO_MAP_VALUE = 2;
export const BPF_PSEUDO_BTF_ID = 3;
export const BPF_PSEUDO_FUNC = 4;
export const BPF_PSEUDO_MAP_IDX = 5;
export const BPF_PSEUDO_MAP_IDX_VALUE = 6;

/** The frame pointer, which no instruction may write. */
export const BPF_REG_FP = 10;
/** Registers that a program can name. */
export const MAX_BPF_REG = 11;
/** A register that only rewrites may use (bpf_jit_blind_insn, do_misc_fixups). */
export const BPF_REG_AX = 11;
/** x86's r11, which no BPF register lives in: where a trampoline may point it at the arguments. Only our own rewrites name it. */
export const BPF_REG_R11 = 12;
/** Bytes of stack below R10. */
export const MAX_BPF_STACK = 512;
/** Bytes of one instruction; a 64-bit immediate takes two. */
export const BPF_INSN_SIZE = 8;
/** BPF_FUNC_tail_call. */
export const BPF_FUNC_TAIL_CALL = 12;
