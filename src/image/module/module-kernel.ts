/**
 * A module in the shape of a kernel, so that boot's passes and the readers of tables work on it as they are: its sections, the kernel's symbols, and
 * the tables' delimiters, which a module does not have because each of its tables is a section of its own.
 */
import { type KernelAddress, toOffset } from '../../base/index.ts';
import type { KernelImage } from '../kernel-image.ts';
import type { RawKernel, RawSection } from '../raw-kernel.ts';
import { areaAt, type Layout } from './layout.ts';
import { isTextArea } from './module-image.ts';

/** Delimiters by which tables are looked up → the section that the table is in a module. */
const DELIMITERS: Readonly<Record<string, readonly [section: string, end: 'start' | 'stop']>> = Object.fromEntries(
  (
    [
      ['__start_mcount_loc', '__stop_mcount_loc', '__mcount_loc'],
      ['__start___jump_table', '__stop___jump_table', '__jump_table'],
      ['__start_static_call_sites', '__stop_static_call_sites', '.static_call_sites'],
      ['__start_kprobe_blacklist', '__stop_kprobe_blacklist', '_kprobe_blacklist'],
      ['__kprobes_text_start', '__kprobes_text_end', '.kprobes.text'],
      ['__noinstr_text_start', '__noinstr_text_end', '.noinstr.text'],
      ['__start___ex_table', '__stop___ex_table', '__ex_table'],
      ['__start___bug_table', '__stop___bug_table', '__bug_table'],
    ] as const
  ).flatMap(([start, stop, section]) => [
    [start, [section, 'start']],
    [stop, [section, 'stop']],
  ]),
);

/** What the kernel has and a module does not, though their names are the same. */
const KERNEL_ONLY = new Set([
  '__entry_text_start',
  '__entry_text_end',
  '__irqentry_text_start',
  '__irqentry_text_end',
  '__alt_instructions_end',
  '__smp_locks_end',
  '__return_sites_end',
  '__retpoline_sites_end',
  '__call_sites_end',
  '__ibt_endbr_seal_end',
  '__parainstructions_end',
]);

export function moduleKernel(image: KernelImage, layout: Layout, own: ReadonlyMap<string, bigint>): RawKernel {
  const sections: readonly RawSection[] = layout.sections.map(({ name, area, start, size }) => {
    const found = areaAt(layout.areas, start, size);
    return {
      name,
      offset: start,
      address: (image.base + BigInt(start)) as KernelAddress,
      size,
      executable: isTextArea(area),
      writable: area === 'data' || area === 'init.data' || area === 'ro_after_init',
      bytes: found === undefined ? new Uint8Array(0) : found.area.bytes.subarray(found.at, found.at + size),
    };
  });
  const byName = new Map<string, RawSection>();
  for (const section of sections) if (!byName.has(section.name)) byName.set(section.name, section);

  const delimiter = (name: string): number | undefined => {
    const [sectionName = '', end] = DELIMITERS[name] ?? [];
    const section = byName.get(sectionName);
    if (section?.offset === undefined) return undefined;
    return end === 'stop' ? section.offset + section.size : section.offset;
  };
  const symbolAddress = (name: string): KernelAddress | undefined => {
    const value = own.get(name) ?? image.symbols.byName(name)[0]?.address;
    return value as KernelAddress | undefined;
  };
  return {
    release: image.release,
    version: image.version,
    base: image.base,
    sections,
    section: (name) => byName.get(name),
    read: (offset, length) => {
      const found = areaAt(layout.areas, offset, length);
      if (found === undefined) return image.moduleSupport.readData(offset, length);
      return found.area.bytes.subarray(found.at, found.at + length);
    },
    symbolOffset: (name) => {
      if (name in DELIMITERS) return delimiter(name);
      if (KERNEL_ONLY.has(name)) return undefined;
      const address = symbolAddress(name);
      return address === undefined ? undefined : toOffset(image.base, address);
    },
    symbolAddress,
    describe: (offset) => {
      const area = layout.areas.find((each) => offset >= each.start && offset < each.start + each.size);
      if (area !== undefined) return `${area.kind}+0x${(offset - area.start).toString(16)}`;
      const symbol = image.symbols.containing(offset);
      if (symbol?.offset === undefined) return `0x${offset.toString(16)}`;
      return `${symbol.name}+0x${(offset - symbol.offset).toString(16)}`;
    },
  };
}
