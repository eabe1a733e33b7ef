/** A kernel command line, as early_param, __setup and cmdline_find_option see it. */
export interface Cmdline {
  /** Value of the last `name=value`; undefined when there is none. */
  value(name: string): string | undefined;
  /** True when the bare word occurs. */
  flag(name: string): boolean;
  /** Values of every `name=value`, in order. */
  values(name: string): readonly string[];
}

/** Splits at blanks outside of double quotes; `-` and `_` in names are the same (kernel/params.c, parameq). */
export function parseCmdline(text: string): Cmdline {
  const words = text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
  const canonical = (name: string): string => name.replaceAll('-', '_');
  const values = new Map<string, string[]>();
  const flags = new Set<string>();
  for (const word of words) {
    if (word === '--') break;
    const plain = word.replaceAll('"', '');
    const equals = plain.indexOf('=');
    if (equals < 0) {
      flags.add(canonical(plain));
      continue;
    }
    const name = canonical(plain.slice(0, equals));
    const list = values.get(name) ?? [];
    list.push(plain.slice(equals + 1));
    values.set(name, list);
  }
  return {
    value: (name) => values.get(canonical(name))?.at(-1),
    flag: (name) => flags.has(canonical(name)),
    values: (name) => values.get(canonical(name)) ?? [],
  };
}
