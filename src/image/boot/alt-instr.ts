import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import { relative, type TableBytes, tableInSection } from '../tables/table-bytes.ts';

/** One struct alt_instr (arch/x86/include/asm/alternative.h); places are offsets from `_text`. */
export interface AltInstr {
  readonly instr: number;
  readonly replacement: number;
  readonly cpuid: number;
  /** ALT_FLAG_NOT: applies when the CPU does not have the feature. */
  readonly isNot: boolean;
  /** ALT_FLAG_DIRECT_CALL: the replacement calls what the original calls through a pointer. */
  readonly isDirectCall: boolean;
  readonly instrlen: number;
  readonly replacementlen: number;
}

export type AltLayout = '14' | '12';

const ALT_FLAG_NOT = 1;
const ALT_FLAG_DIRECT_CALL = 2;
const ALTINSTR_FLAG_INV = 0x8000;

function entry14(table: TableBytes, at: number): AltInstr {
  const { view } = table;
  const flags = view.u16(at + 10);
  return {
    instr: relative(table, at),
    replacement: relative(table, at + 4),
    cpuid: view.u16(at + 8),
    isNot: (flags & ALT_FLAG_NOT) !== 0,
    isDirectCall: (flags & ALT_FLAG_DIRECT_CALL) !== 0,
    instrlen: view.u8(at + 12),
    replacementlen: view.u8(at + 13),
  };
}

function entry12(table: TableBytes, at: number): AltInstr {
  const { view } = table;
  const cpuid = view.u16(at + 8);
  return {
    instr: relative(table, at),
    replacement: relative(table, at + 4),
    cpuid: cpuid & ~ALTINSTR_FLAG_INV,
    isNot: (cpuid & ALTINSTR_FLAG_INV) !== 0,
    isDirectCall: false,
    instrlen: view.u8(at + 10),
    replacementlen: view.u8(at + 11),
  };
}

const LAYOUTS: readonly { readonly kind: AltLayout; readonly size: number; readonly read: typeof entry14 }[] = [
  { kind: '14', size: 14, read: entry14 },
  { kind: '12', size: 12, read: entry12 },
];

/**
 * `.altinstructions` in its order, and which layout it has: 14 bytes with flags of their own since 6.3, 12 before. The one whose entries all
 * point into code is it.
 */
export function readAltInstrs(
  kernel: RawKernel,
  isCode: (offset: number, length: number) => boolean,
): { readonly layout: AltLayout; readonly entries: AltInstr[] } | undefined {
  const table = tableInSection(kernel, '.altinstructions', '__alt_instructions_end');
  if (table === undefined) return undefined;
  for (const layout of LAYOUTS) {
    if (table.view.length % layout.size !== 0) continue;
    const entries = Array.from({ length: table.view.length / layout.size }, (_, i) =>
      layout.read(table, i * layout.size),
    );
    const fits = (entry: AltInstr): boolean =>
      isCode(entry.instr, entry.instrlen) &&
      (entry.replacementlen === 0 || isCode(entry.replacement, entry.replacementlen));
    if (entries.every(fits)) return { layout: layout.kind, entries };
  }
  return refuse('.altinstructions', table.offset, 'neither 14- nor 12-byte entries point to code');
}
