import { type Insn, modrmReg, PREFIX_ADDRESS_SIZE, PREFIX_CS } from './insn.ts';

/** Which release's rules to apply where they differ. */
export type KprobeRules = '6.1' | '6.12';

/**
 * Second opcode bytes of `0f xx` that may run at another place and jump back, as ranges: undefined ones, conditional jumps, groups and some
 * special ones are left out (twobyte_is_boostable, arch/x86/kernel/kprobes/core.c, the same in 6.1 and 6.12).
 */
const BOOSTABLE_TWO_BYTE = new Set(
  (
    '02-03 06 08-09 1f 20-23 31 40-4f 60-6b 6e-6f 74-77 7e-7f 90-9f a0-a1 a3-a5 a8-a9 ab-ad af ' +
    'b0-b7 bb-bf c0-c1 c8-cf d1-d3 d5 d8-d9 db-dd df e1-e2 e5 e8-e9 eb-ed ef f1-f3 f5 f8-fa fc-fe'
  )
    .split(' ')
    .flatMap((range) => {
      const [first = '', last = first] = range.split('-');
      const from = Number.parseInt(first, 16);
      return Array.from({ length: Number.parseInt(last, 16) - from + 1 }, (_, i) => from + i);
    }),
);

/** Opcodes of one byte whose effect depends on where they stand, or that must not run elsewhere. */
function isUnboostableOneByte(opcode: number): boolean {
  return (
    opcode === 0x62 ||
    (opcode >= 0x70 && opcode <= 0x7f) ||
    opcode === 0x9a ||
    (opcode >= 0xcc && opcode <= 0xce) ||
    opcode === 0xd6 ||
    (opcode >= 0xd8 && opcode <= 0xdf) ||
    (opcode >= 0xe0 && opcode <= 0xe3) ||
    opcode === 0xe8 ||
    opcode === 0xe9 ||
    opcode === 0xeb ||
    (opcode >= 0xf0 && opcode <= 0xf4)
  );
}

/** The groups: 6.12 decides by the ModRM's reg, 6.1 refuses all of them but an indirect near jump. */
function canBoostGroup(insn: Insn, rules: KprobeRules): boolean | undefined {
  const reg = modrmReg(insn.modrm);
  switch (insn.opcode) {
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
      // AMD takes /6 for SHL, Intel reserves it.
      return rules === '6.12' && reg !== 6;
    case 0xf6:
    case 0xf7:
      // AMD takes /1 for TEST, Intel reserves it.
      return rules === '6.12' && reg !== 1;
    case 0xfe:
      return rules === '6.12' && reg <= 1;
    case 0xff:
      return reg === 4 || (rules === '6.12' && reg <= 1);
    default:
      return undefined;
  }
}

/**
 * Whether a copy of the instruction may run in a slot that ends in a jump back, or be part of an optimised probe's detour
 * (can_boost, arch/x86/kernel/kprobes/core.c).
 *
 * @param hasExceptionEntry the exception table has an entry for the address
 */
export function canBoost(insn: Insn, hasExceptionEntry: boolean, rules: KprobeRules = '6.12'): boolean {
  if (hasExceptionEntry) return false;
  if (insn.opcodeBytes === 2) return BOOSTABLE_TWO_BYTE.has(insn.opcode2);
  if (insn.opcodeBytes !== 1) return false;
  if ((insn.prefixes & (PREFIX_CS | PREFIX_ADDRESS_SIZE)) !== 0) return false;
  if (isUnboostableOneByte(insn.opcode)) return false;
  return canBoostGroup(insn, rules) ?? true;
}
