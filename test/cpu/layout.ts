/** Where a batch of sequences lives, in the simulated memory and in the child: below 2 GiB, so that 32-bit addresses reach it. */
export const CODE = 0x6000_0000;
export const CODE_BYTES = 0x20_0000;
export const DATA = CODE + CODE_BYTES;
export const SLOT_BYTES = 0x800;
export const CASES = 256;
export const DATA_BYTES = 0x10_0000;
/** The stack pointer of the one who called. */
export const SAVED_RSP = DATA + CASES * SLOT_BYTES;
/** What %gs is on both sides. */
export const GS = 0x1_0000;

export const slotOf = (index: number): number => DATA + index * SLOT_BYTES;

/** Offsets within a slot. */
export const IN = 0;
export const IN_FLAGS = 0x80;
export const OUT = 0x100;
export const OUT_FLAGS = 0x180;
export const LOG = 0x200;
export const LOG_MAX = 32;
export const STACK_TOP = 0x3c0;
/** Memory operands of sequences point into the middle of 512 bytes. */
export const SCRATCH = 0x400;
export const SCRATCH_BYTES = 0x200;
