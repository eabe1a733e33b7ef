import { FORMS, type Form } from '../../src/cpu/index.ts';

const FLAGS: Readonly<Record<string, string>> = {
  shift: 'AF; OF but for a count of 1; CF of shl and shr for counts of the size and more',
  sar: 'AF; OF but for a count of 1',
  double: 'AF; OF but for a count of 1',
  rotate: 'OF but for a count of 1',
};

const NAMES: Readonly<Record<string, string>> = { o: 'OF', s: 'SF', z: 'ZF', a: 'AF', p: 'PF', c: 'CF' };

function undefinedFlags(form: Form): string {
  const rule = form.undefinedFlags ?? '';
  return FLAGS[rule] ?? [...rule].map((letter) => NAMES[letter] ?? letter).join(' ');
}

const row = (form: Form): string =>
  `| ${form.name} | \`${form.encoding}\` | ${form.operands} | ${form.lock ? 'yes' : ''} | ${undefinedFlags(form)} | ${form.notCompared ?? 'yes'} |`;

/** docs/cpu-forms.md, from the table that the decoder reads. */
export function cpuFormsPage(): readonly [string, string] {
  const forms = [...FORMS].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const compared = forms.filter((form) => form.notCompared === undefined).length;
  const text = `# Instructions of the simulated CPUs

Generated from \`src/cpu/forms/\` by \`npm run docs\`: ${forms.length} encodings, of which ${compared} are compared with the real CPU. Everything else is answered with
\`not-implemented\` and its name, or with #UD when it is no instruction.

Operands are a kind and a size. Kinds: E register or memory (ModRM.rm), M memory, R register (ModRM.rm), G register (ModRM.reg), B register (VEX.vvvv), Z
register (opcode), A accumulator, C %cl, I immediate, J branch displacement, O absolute address, 1 the constant. Sizes: b, w, d, q are 1, 2, 4 and 8
bytes; v is 2, 4 or 8 by operand size, y 4 or 8, s 2 or 8 (stack), z an immediate of 2 or 4. Hint nops include endbr64 and prefetches; f2 and f3 are
ignored where they mean nothing (\`rep ret\`), or repeat a string operation.

Flags that the manual leaves undefined are not compared. What they are here is said in the file that implements the form.

| name | encoding | operands | lock | undefined flags | compared |
|---|---|---|---|---|---|
${forms.map(row).join('\n')}
`;
  return ['docs/cpu-forms.md', text];
}
