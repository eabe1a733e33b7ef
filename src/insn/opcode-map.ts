/**
 * What follows an opcode byte in 64-bit mode, one byte of flags per opcode: the facts of SDM vol. 2 appendix A (and of
 * arch/x86/lib/x86-opcode-map.txt) that decide an instruction's length. Reserved encodings inside a group are not told apart:
 * like the kernel's own decoder this one measures them.
 */
export const MODRM = 0x01;
/** One immediate byte. */
export const IMM8 = 0x02;
/** Two or four immediate bytes by operand size (Iz). */
export const IMMZ = 0x04;
/** Two immediate bytes. */
export const IMM16 = 0x08;
/** Two, four or eight immediate bytes by operand size (Iv): `mov $imm,%reg`. */
export const IMMV = 0x10;
/** A legacy prefix. */
export const PREFIX = 0x20;
/** Handled in the decoder: escape, VEX, EVEX, moffs, group 3, far pointers. */
export const SPECIAL = 0x40;
/** #UD in 64-bit mode whatever follows. */
export const INVALID64 = 0x80;

type Rule = readonly [flags: number, opcodes: string];

/** `"00-03 08 0a-0b"`: opcodes and ranges, hexadecimal. */
function table(rules: readonly Rule[]): Uint8Array {
  const flags = new Uint8Array(256);
  for (const [bits, opcodes] of rules) {
    for (const item of opcodes.split(' ')) {
      const [first = '', last = first] = item.split('-');
      for (let op = Number.parseInt(first, 16); op <= Number.parseInt(last, 16); op += 1) flags[op] = bits;
    }
  }
  return flags;
}

const ALU_ROWS = [0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38];
const row = (base: number, from: number, to: number): string =>
  `${(base + from).toString(16)}-${(base + to).toString(16)}`;

export const ONE_BYTE: Uint8Array = table([
  ...ALU_ROWS.flatMap((base): Rule[] => [
    [MODRM, row(base, 0, 3)],
    [IMM8, row(base, 4, 4)],
    [IMMZ, row(base, 5, 5)],
    [INVALID64, row(base, 6, 7)],
  ]),
  [SPECIAL, '0f'],
  [PREFIX, '26 2e 36 3e 64 65 66 67 f0 f2 f3'],
  [INVALID64, '60 61 ce d6'],
  [SPECIAL, '62 9a c4 c5 d5 ea'],
  [MODRM, '63 84-8f c0 d0-d3 d8-df fe ff'],
  [IMMZ, '68 a9 e8 e9'],
  [MODRM | IMMZ, '69 81 c7'],
  [IMM8, '6a 70-7f a8 b0-b7 cd e0-e7 eb'],
  [MODRM | IMM8, '6b 80 83 c0 c1 c6'],
  [MODRM | IMM8 | INVALID64, '82'],
  [IMM8 | INVALID64, 'd4'],
  [SPECIAL, 'a0-a3'],
  [IMMV, 'b8-bf'],
  [IMM16, 'c2 ca'],
  [IMM16 | IMM8, 'c8'],
  [MODRM | SPECIAL, 'f6 f7'],
]);

export const TWO_BYTE: Uint8Array = table([
  [MODRM, '00-03 0d 10-23 28-2f 40-6f 74-76 78-7f 90-9f a3 a5 a6-a7 ab ad-b1 b2-b9 bb-c1 c3 c7 d0-fe'],
  [MODRM | IMM8, '0f 70-73 a4 ac ba c2 c4-c6'],
  [IMMZ, '80-8f'],
  [SPECIAL, '38 3a'],
  [INVALID64, '04 0a 0c 24-27 36 39 3b-3f'],
]);
