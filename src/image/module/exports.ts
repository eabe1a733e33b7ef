import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import { entriesOf, type TableBytes, tableInSection } from '../tables/table-bytes.ts';

/** struct kernel_symbol with relative fields (include/linux/export-internal.h): s32 value, s32 name, s32 namespace. */
const ENTRY_SIZE = 12;
const NAME_MAX = 512;

export interface ExportColumns {
  /** NUL-terminated, in the order of `address`. */
  readonly names: Uint8Array;
  readonly address: readonly bigint[];
  /** Index of the first that is for GPL modules only. */
  readonly gplFrom: number;
  /** Of genksyms, in the same order; empty without CONFIG_MODVERSIONS. */
  readonly crc: readonly number[];
}

function nameAt(kernel: RawKernel, table: TableBytes, at: number): Uint8Array {
  const place = table.offset + at + 4 + table.view.s32(at + 4);
  const section = kernel.sections.find(
    (s) => s.offset !== undefined && place >= s.offset && place < s.offset + s.bytes.length,
  );
  const start = place - (section?.offset ?? 0);
  const end = section?.bytes.indexOf(0, start) ?? -1;
  if (section === undefined || end < 0 || end - start > NAME_MAX)
    return refuse(table.name, table.offset + at + 4, 'a symbol without a name');
  return section.bytes.subarray(start, end + 1);
}

/** `__kcrctab` has one u32 for each symbol (6.1 and later). */
function crcsOf(kernel: RawKernel, name: string, count: number): readonly number[] | undefined {
  const table = tableInSection(kernel, name);
  if (table === undefined || table.view.length !== count * 4) return undefined;
  return Array.from({ length: count }, (_, i) => table.view.u32(i * 4));
}

/** What other modules may use: `__ksymtab` and `__ksymtab_gpl`; undefined when there is neither. */
export function readExports(kernel: RawKernel): ExportColumns | undefined {
  const names: Uint8Array[] = [];
  const address: bigint[] = [];
  const crc: number[] = [];
  let gplFrom = 0;
  let isVersioned = true;
  let hasAny = false;
  for (const suffix of ['', '_gpl']) {
    const table = tableInSection(kernel, `__ksymtab${suffix}`);
    if (suffix === '_gpl') gplFrom = address.length;
    if (table === undefined) continue;
    hasAny = true;
    const count = entriesOf(table, ENTRY_SIZE);
    for (let i = 0; i < count; i++) {
      const at = i * ENTRY_SIZE;
      address.push(BigInt.asUintN(64, kernel.base + BigInt(table.offset + at + table.view.s32(at))));
      names.push(nameAt(kernel, table, at));
    }
    const crcs = crcsOf(kernel, `__kcrctab${suffix}`, count);
    isVersioned &&= crcs !== undefined;
    crc.push(...(crcs ?? []));
  }
  if (!hasAny) return undefined;
  return { names: Buffer.concat(names), address, gplFrom, crc: isVersioned ? crc : [] };
}
