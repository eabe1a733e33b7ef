import type { RawKernel } from '../raw-kernel.ts';
import { entriesOf, relative, tableInSection } from '../tables/table-bytes.ts';

/** A table of place-relative s32 (`.return_sites`, `.retpoline_sites`, `.call_sites`, `.ibt_endbr_seal`), as offsets from `_text`, in its order. */
export function readSites(kernel: RawKernel, section: string): Int32Array {
  const table = tableInSection(kernel, section);
  if (table === undefined) return new Int32Array(0);
  const sites = new Int32Array(entriesOf(table, 4));
  for (let i = 0; i < sites.length; i++) sites[i] = relative(table, i * 4);
  return sites;
}
