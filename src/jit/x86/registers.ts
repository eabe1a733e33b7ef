/** x86-64 general registers by their number in an encoding (SDM vol. 2, table 2-8). */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;
export const R8 = 8;
export const R9 = 9;
export const R10 = 10;
export const R11 = 11;
export const R12 = 12;
export const R13 = 13;
export const R14 = 14;
export const R15 = 15;

export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15;

/** Where the System V ABI puts the first six argument words. */
export const ARGUMENT_REGISTERS: readonly Register[] = [RDI, RSI, RDX, RCX, R8, R9];
