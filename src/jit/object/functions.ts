/** Functions of an object: programs, and in `.text` what they call (bpf_object__add_programs, tools/lib/bpf/libbpf.c, 6.12). */
import { BPF_INSN_SIZE } from '../bpf/index.ts';
import { type ElfFile, type ObjectSection, SHT, STB, STT } from './elf-file.ts';
import { refuse, refuseBy } from './object-fault.ts';

export const TEXT_SECTION = '.text';
/** Real objects have tens; selftests of the kernel have up to 600 in one object. */
const FUNCTIONS_MAX = 65_536;

export interface ObjectFunction {
  readonly name: string;
  readonly section: ObjectSection;
  /** First slot in its section, and slots. */
  readonly start: number;
  readonly length: number;
  /** In `.text`: called by programs, and none itself. */
  readonly isSubprogram: boolean;
  /** Seen outside its object: the verifier takes it by its types alone. */
  readonly isGlobal: boolean;
}

export const functionBytes = ({ section, start, length }: ObjectFunction): Uint8Array =>
  section.bytes.subarray(start * BPF_INSN_SIZE, (start + length) * BPF_INSN_SIZE);

function functionsIn(file: ElfFile, section: ObjectSection): readonly ObjectFunction[] {
  const isSubprogram = section.name === TEXT_SECTION;
  return file.symbols
    .filter((symbol) => symbol.section === section.index && symbol.type === STT.FUNC)
    .map((symbol): ObjectFunction => {
      const { name, value, size, binding, isHidden } = symbol;
      if (value + size > section.size) refuse(section.name, value, `${name} has ${size} bytes, past the section's end`);
      if (size === 0 || size % BPF_INSN_SIZE !== 0 || value % BPF_INSN_SIZE !== 0)
        refuse(section.name, value, `${name} has ${size} bytes: no whole number of instructions`);
      if (!isSubprogram && binding === STB.LOCAL)
        refuseBy(
          'bpf.object.unsupported',
          'EOPNOTSUPP',
          { section: section.name, offset: value },
          `${name} is static: only functions in .text may be`,
        );
      return {
        name,
        section,
        start: value / BPF_INSN_SIZE,
        length: size / BPF_INSN_SIZE,
        isSubprogram,
        isGlobal: binding !== STB.LOCAL && !isHidden,
      };
    });
}

/** Sorted by section and place, as they are looked for. */
export function readFunctions(file: ElfFile): readonly ObjectFunction[] {
  const sections = file.sections.filter(
    ({ type, executable, size }) => type === SHT.PROGBITS && executable && size > 0,
  );
  const functions = sections.flatMap((section) => functionsIn(file, section));
  if (functions.length > FUNCTIONS_MAX)
    refuseBy(
      'bpf.object.size',
      'E2BIG',
      { section: '.symtab', offset: 0 },
      `${functions.length} functions, at most ${FUNCTIONS_MAX}`,
    );
  return functions.sort((a, b) => a.section.index - b.section.index || a.start - b.start);
}

/** The function that has a slot of a section; undefined when none does. */
export function functionAt(
  functions: readonly ObjectFunction[],
  section: number,
  slot: number,
): ObjectFunction | undefined {
  let low = 0;
  let high = functions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const each = functions[middle] as ObjectFunction;
    const isBefore = each.section.index < section || (each.section.index === section && each.start <= slot);
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  const found = functions[low - 1];
  if (found === undefined || found.section.index !== section) return undefined;
  return slot < found.start + found.length ? found : undefined;
}
