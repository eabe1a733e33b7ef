/** What a linked program's instructions come from: reloc_prog_func_and_line_info, tools/lib/bpf/libbpf.c (6.12). */
import { BPF_INSN_SIZE } from '../bpf/index.ts';
import type { BySection } from './btf-ext.ts';
import type { PlacedFunction } from './link.ts';
import type { OpenedObject } from './open-object.ts';

/** A line of the source. */
export interface SourceLine {
  /** The first slot that comes from it. */
  readonly slot: number;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

/** A function of a linked program. */
export interface LinkedFunction {
  readonly name: string;
  /** First slot. */
  readonly start: number;
  /** Its FUNC in the object's types; undefined when these do not tell. */
  readonly type: number | undefined;
  /** The verifier takes it by its types alone. */
  readonly isGlobal: boolean;
}

/** Records of a placed function, with the slots that they now have. */
function moved<T extends { readonly offset: number }>(
  records: BySection<T>,
  { function: fn, start }: PlacedFunction,
): readonly { readonly slot: number; readonly record: T }[] {
  const from = fn.start * BPF_INSN_SIZE;
  const end = from + fn.length * BPF_INSN_SIZE;
  return (records.get(fn.section.name) ?? [])
    .filter(({ offset }) => offset >= from && offset < end && offset % BPF_INSN_SIZE === 0)
    .map((record) => ({ slot: start + (record.offset - from) / BPF_INSN_SIZE, record }));
}

export function linesOf({ ext }: OpenedObject, functions: readonly PlacedFunction[]): readonly SourceLine[] {
  return functions.flatMap((placed) =>
    moved(ext.lines, placed).map(({ slot, record: { file, line, column, text } }) => ({
      slot,
      file,
      line,
      column,
      text: text.trim(),
    })),
  );
}

export function functionsOf({ ext }: OpenedObject, functions: readonly PlacedFunction[]): readonly LinkedFunction[] {
  return functions.map((placed) => {
    const { function: fn, start } = placed;
    const type = moved(ext.functions, placed).find(({ slot }) => slot === start)?.record.type;
    return { name: fn.name, start, type, isGlobal: fn.isGlobal };
  });
}
