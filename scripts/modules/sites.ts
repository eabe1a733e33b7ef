/**
 * What objtool does for a module, on the compiler's assembler text: labels at returns, calls, static calls and the ENDBR of functions whose address nobody
 * takes, and tables of them as sections of their own.
 */
const RETURN = /^\s*jmp\s+__x86_return_thunk$/;
const STATIC = /^\s*(call|jmp)\s+__SCT__(\w+)$/;
const CALL = /^\s*call\s+(?!\*)(\w+)$/;
const FUNCTION = /^\s*\.type\s+(\w+), @function$/;
const LABEL = /^(\w+):$/;
const SET = /^\s*\.set\s+(\w+),\s*(\w+)$/;

interface Tables {
  readonly returns: string[];
  readonly calls: string[];
  readonly statics: { readonly label: string; readonly name: string; readonly isTail: boolean }[];
  readonly seals: Map<string, string>;
}

const places = (section: string, labels: readonly string[]): string =>
  labels.length === 0 ? '' : `\t.section ${section}, "a"\n${labels.map((label) => `\t.long ${label} - .\n`).join('')}`;

/** Names whose address is taken: a function among them is called indirectly. */
function taken(lines: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  let section = '';
  for (const line of lines) {
    section = /^\s*\.section\s+([\w.]+)/.exec(line)?.[1] ?? (/^\s*\.(?:text|data|bss)\b/.test(line) ? '' : section);
    // NOKPROBE_SYMBOL names a function without the intent to call it.
    if (section === '_kprobe_blacklist') continue;
    const quad = /^\s*\.quad\s+([A-Za-z_]\w*)/.exec(line)?.[1];
    if (quad !== undefined) found.add(quad);
    const alias = SET.exec(line);
    // Aliases are how the kernel finds init and exit functions.
    if (alias?.[2] !== undefined) found.add(alias[2]);
  }
  return found;
}

/** A branch that starts as a NOP: bit 1 of its key says so. Functions here are short, so that its jump would take two bytes. */
function withNops(lines: readonly string[]): readonly string[] {
  return lines.map((line, i) => {
    if (!/^\s*1:\s*jmp\s/.test(line)) return line;
    const key = lines.slice(i, i + 8).find((each) => /^\s*\.quad\s/.test(each)) ?? '';
    const flags = Number(/\+\s*(\d+)\s*-/.exec(key)?.[1] ?? 0);
    return (flags & 2) === 0 ? line : '1:\t.byte 0x66, 0x90';
  });
}

export function withSites(text: string, isIbt: boolean): string {
  const lines = withNops(text.split('\n'));
  const used = taken(lines);
  const functions = new Set(lines.flatMap((line) => FUNCTION.exec(line)?.[1] ?? []));
  const tables: Tables = { returns: [], calls: [], statics: [], seals: new Map() };
  const out: string[] = [];
  let current = '';
  let count = 0;
  const mark = (into: string[]): string => {
    const label = `.Lsite${count++}`;
    out.push(`${label}:`);
    into.push(label);
    return label;
  };
  for (const line of lines) {
    const label = LABEL.exec(line)?.[1];
    if (label !== undefined && functions.has(label)) current = label;
    const staticCall = STATIC.exec(line);
    if (RETURN.test(line)) mark(tables.returns);
    else if (staticCall !== null)
      tables.statics.push({ label: mark([]), name: staticCall[2] ?? '', isTail: staticCall[1] === 'jmp' });
    else if (CALL.test(line) && !line.includes('__fentry__')) mark(tables.calls);
    else if (/^\s*endbr64$/.test(line) && isIbt && !used.has(current) && !tables.seals.has(current))
      tables.seals.set(current, mark([]));
    out.push(line);
  }
  const statics = tables.statics.map(
    ({ label, name, isTail }) => `\t.long ${label} - .\n\t.long __SCK__${name} + ${Number(isTail)} - .\n`,
  );
  return [
    out.join('\n'),
    places('.return_sites', tables.returns),
    places('.call_sites', tables.calls),
    places('.ibt_endbr_seal', [...tables.seals.values()]),
    statics.length === 0 ? '' : `\t.section .static_call_sites, "aw"\n${statics.join('')}`,
  ].join('\n');
}
