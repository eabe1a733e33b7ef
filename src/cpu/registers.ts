/**
 * The state of one CPU is one Int32Array, so that an explorer can copy, compare and hash it without knowing what is in it. Every 64-bit
 * register is a pair of words [low, high] (BigInt costs about thirty times as much per addition); the indices below are those of the low
 * words, the high word follows.
 */

/** General registers in the order of their encoding: index of the low word of register n is 2n. */
export const RAX = 0;
export const RCX = 2;
export const RDX = 4;
export const RBX = 6;
export const RSP = 8;
export const RBP = 10;
export const RSI = 12;
export const RDI = 14;
export const R8 = 16;
export const R9 = 18;
export const R10 = 20;
export const R11 = 22;
export const R12 = 24;
export const R13 = 26;
export const R14 = 28;
export const R15 = 30;
export const RIP = 32;
export const GS_BASE = 34;
export const FS_BASE = 36;
export const KERNEL_GS_BASE = 38;
export const CR2 = 40;
/**
 * The six arithmetic flags are kept as five words from which each is read with one or two operations, whatever instruction set them:
 * ZF is `FLAG_ZERO === 0`, SF the sign of FLAG_SIGN, PF the parity of the low byte of FLAG_PARITY, AF bit 4 of FLAG_AUX. FLAG_CARRY is the
 * vector of carries (borrows) out of each bit, placed so that bit 31 is the carry out of the operand: CF is bit 31, OF bit 31 xor bit 30.
 */
export const FLAG_ZERO = 42;
export const FLAG_SIGN = 43;
export const FLAG_CARRY = 44;
export const FLAG_PARITY = 45;
export const FLAG_AUX = 46;
/** The other bits of RFLAGS, where RFLAGS has them: TF, IF, DF, IOPL, NT, RF, AC, ID. */
export const FLAG_REST = 47;
/** IA32_TSC_AUX: what rdtscp and rdpid answer. */
export const TSC_AUX = 48;
/** Instructions executed, low and high word: the time stamp counter counts them. */
export const EXECUTED = 50;
/** Serialising events so far (see SerialisingEvent). */
export const SERIALISED = 52;
/** 1 between `sti` and the end of the instruction behind it. */
export const INTERRUPT_SHADOW = 53;
/** 1 from the delivery of an NMI to the next iret. */
export const NMI_BLOCKED = 54;
/** Words of state. */
export const STATE_WORDS = 56;

export const CF = 0x1;
export const PF = 0x4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const TF = 0x100;
export const IF = 0x200;
export const DF = 0x400;
export const OF = 0x800;
export const NT = 0x4000;
export const RF = 0x1_0000;
export const AC = 0x4_0000;
export const ID = 0x20_0000;
/** The arithmetic flags. */
export const STATUS_FLAGS = CF | PF | AF | ZF | SF | OF;

/** Names by number, as `struct pt_regs` and disassemblies have them. */
export const REGISTER_NAMES = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;

export type RegisterName = (typeof REGISTER_NAMES)[number];
