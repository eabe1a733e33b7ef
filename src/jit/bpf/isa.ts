import type { Insn } from './insn.ts';
import { ALU_INSNS } from './isa-alu.ts';
import { JUMP_INSNS } from './isa-jump.ts';
import { MEMORY_INSNS } from './isa-memory.ts';

/**
 * The instruction set: every BPF instruction of RFC 9669 (v1 to v4), callx, and the few that only the kernel's own rewrites make. The one
 * list behind the decoder, the disassembler, the assembler, the interpreter, the compiler and docs/bpf-isa.md.
 */
export const ISA: readonly Insn[] = [...ALU_INSNS, ...MEMORY_INSNS, ...JUMP_INSNS].map((spec, index) => ({
  ...spec,
  index,
}));

/** The instructions that share each opcode byte; the fixed values of their other fields tell them apart. */
export const BY_CODE: readonly (readonly Insn[])[] = Array.from({ length: 256 }, (_, code) =>
  ISA.filter((insn) => insn.code === code),
);

/**
 * A number below 256 for each instruction, by its place in {@link ISA}: what loops over thousands of slots look up. 0 for the second half of a
 * 64-bit immediate.
 */
export function insnTable(of: (insn: Insn) => number): Uint8Array {
  const table = new Uint8Array(256);
  for (const insn of ISA) table[insn.index] = of(insn);
  return table;
}

/** The instruction of that mnemonic; of two, the one that takes an immediate or a register. Throws RangeError when there is none. */
export function insnNamed(name: string, from?: 'imm' | 'reg'): Insn {
  const found = ISA.find(
    (insn) => insn.name === name && (from === undefined || !('from' in insn.meaning) || insn.meaning.from === from),
  );
  if (found === undefined) throw new RangeError(`no BPF instruction ${name}`);
  return found;
}
