import { type Insn, ISA } from '../../src/jit/index.ts';

const REGISTER = { unused: '0', read: 'reads', write: 'writes', update: 'updates' } as const;

const hex = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;
const field = (use: Insn['dst' | 'src' | 'off' | 'imm']): string => {
  if (typeof use === 'number') return use > 15 ? hex(use) : String(use);
  return Object.hasOwn(REGISTER, use) ? REGISTER[use as keyof typeof REGISTER] : use;
};

const row = (insn: Insn): string =>
  `| \`${insn.name}\` | ${[hex(insn.code), ...[insn.dst, insn.src, insn.off, insn.imm].map(field)].join(' | ')} | ${
    insn.since === undefined ? '–' : `v${insn.since}`
  } | ${insn.group} |`;

/** docs/bpf-isa.md: the table of instructions, as the code has it. */
export function isaPage(): readonly [string, string] {
  const text = `# BPF instructions

Generated from \`src/jit/bpf/isa.ts\` by \`npm run docs\`; decoder, disassembler, assembler, interpreter and compiler read the same table. It has
${ISA.length} instructions: those of RFC 9669, the call by register, and a few that only a verifier makes (group *internal*), which bytecode from outside
must not contain.

A number in a field's column is the only value that the field may have: 0 where it is reserved, another one where it tells instructions of one
opcode apart. Anything else there is refused, with the instruction and the field. *since* is the \`-mcpu\` of LLVM that first emits it.

| assembler | opcode | dst | src | off | imm | since | group |
| --- | --- | --- | --- | --- | --- | --- | --- |
${ISA.map(row).join('\n')}
`;
  return ['docs/bpf-isa.md', text];
}
