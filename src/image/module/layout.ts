/**
 * Where each section of a module goes.
 * Source: kernel/module/main.c layout_sections, __layout_sections, move_module (6.12). The copies of the symbol table that Linux keeps behind the
 * data are not laid out: nothing refers to them.
 */
import { toOffset } from '../../base/index.ts';
import type { ElfSection } from '../elf.ts';
import type { KernelImage } from '../kernel-image.ts';
import { refuse } from '../malformed.ts';
import type { ElfObject } from './elf-object.ts';
import { AREA_KINDS, type AreaKind, type ModuleArea, type ModuleSection } from './module-image.ts';

export const PAGE_SIZE = 4096;
/** MODULES_LEN is 1 GiB; no module comes near (amdgpu takes 30 MiB). */
const AREA_MAX = 64 << 20;
const ALIGNMENT_MAX = PAGE_SIZE;
const PER_CPU = '.data..percpu';
/** Read by the loader and not copied: rewrite_section_headers, and the vermagic's neighbours. */
const NOT_LOADED = new Set(['.modinfo', '__versions', '__version_ext_crcs', '__version_ext_names', PER_CPU]);
const RO_AFTER_INIT = new Set(['.data..ro_after_init', '__jump_table', '.static_call_sites']);

export interface Placement {
  /** Offset from `_text` of whole free pages for `size` bytes. */
  allocate(kind: AreaKind, size: number): number;
  /** Where the module's per-CPU variables begin. */
  readonly perCpu: bigint;
}

export interface Layout {
  readonly areas: readonly ModuleArea[];
  readonly sections: readonly ModuleSection[];
  /** Offset from `_text` of each section of the file, by its index; undefined for those that are not loaded. */
  readonly startOf: readonly (number | undefined)[];
  readonly perCpu: { readonly size: number; readonly address: bigint; readonly index: number | undefined };
}

/** 6.1 marks `.data..ro_after_init` and `__jump_table` only; `.static_call_sites` is marked by its own flag from 6.4 on. Here it makes no difference. */
function areaOf(section: ElfSection): AreaKind {
  const isInit = section.name.startsWith('.init');
  if (section.executable) return isInit ? 'init.text' : 'text';
  if (!isInit && RO_AFTER_INIT.has(section.name)) return 'ro_after_init';
  if (section.writable) return isInit ? 'init.data' : 'data';
  return isInit ? 'init.rodata' : 'rodata';
}

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

interface Placed {
  readonly index: number;
  readonly section: ElfSection;
  readonly kind: AreaKind;
  readonly at: number;
}

function placeSections(object: ElfObject, sizes: Map<AreaKind, number>): readonly Placed[] {
  const placed: Placed[] = [];
  for (const [index, section] of object.sections.entries()) {
    if (!section.isAlloc || NOT_LOADED.has(section.name)) continue;
    const { alignment } = section;
    if (alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)) !== 0)
      refuse(section.name, 0, `an alignment of ${alignment}`);
    if (section.executable && section.writable)
      refuse(section.name, 0, 'a section that is both writable and executable');
    const kind = areaOf(section);
    const at = roundUp(sizes.get(kind) ?? 0, Math.max(alignment, 1));
    if (at + section.size > AREA_MAX) refuse(section.name, 0, `${section.size} bytes do not fit the modules' area`);
    sizes.set(kind, at + section.size);
    placed.push({ index, section, kind, at });
  }
  return placed;
}

/** Takes room for each kind of section and copies the file's bytes there. */
export function layOut(object: ElfObject, placement: Placement): Layout {
  const sizes = new Map<AreaKind, number>();
  const placed = placeSections(object, sizes);
  const areas: ModuleArea[] = [];
  for (const kind of AREA_KINDS) {
    const used = sizes.get(kind) ?? 0;
    if (used === 0) continue;
    const size = roundUp(used, PAGE_SIZE);
    areas.push({ kind, size, start: placement.allocate(kind, size), bytes: new Uint8Array(used) });
  }
  const startOf: (number | undefined)[] = object.sections.map(() => undefined);
  const sections: ModuleSection[] = [];
  for (const { index, section, kind, at } of placed) {
    const area = areas.find((each) => each.kind === kind);
    if (area === undefined) {
      // An empty section in an area that stayed empty has no place and needs none.
      continue;
    }
    startOf[index] = area.start + at;
    area.bytes.set(section.bytes, at);
    sections.push({ name: section.name, area: kind, start: area.start + at, size: section.size });
  }
  const perCpu = object.sections.findIndex((section) => section.name === PER_CPU);
  return {
    areas,
    sections,
    startOf,
    perCpu: {
      size: object.sections[perCpu]?.size ?? 0,
      address: placement.perCpu,
      index: perCpu < 0 ? undefined : perCpu,
    },
  };
}

/** The area that holds [offset, offset + length), and where in it. */
export function areaAt(
  areas: readonly ModuleArea[],
  offset: number,
  length: number,
): { readonly area: ModuleArea; readonly at: number } | undefined {
  const area = areas.find((each) => offset >= each.start && offset + length <= each.start + each.bytes.length);
  return area === undefined ? undefined : { area, at: offset - area.start };
}

/** True when every area lies in the 4 GiB above `_text`, where text offsets are. */
export const isInReach = (image: KernelImage, areas: readonly ModuleArea[]): boolean =>
  areas.every((area) => toOffset(image.base, image.base + BigInt(area.start + area.size)) !== undefined);
