/** Names that a kernel gives to an object: `.kconfig` and `.ksyms` (bpf_object__collect_externs, bpf_object__resolve_externs, libbpf.c, 6.12). */
import { BTF_KIND, stripBtf } from '../../image/index.ts';
import { CoreBudget } from './core/index.ts';
import { dataMap } from './data-maps.ts';
import { type ElfFile, type ObjectSymbol, SHN_UNDEF, STB, STT } from './elf-file.ts';
import { type Extern, type FoundExtern, isWeak, refuseExtern } from './extern.ts';
import { kernelSymbol } from './kernel-symbols.ts';
import type { ObjectMap } from './map-definitions.ts';
import { type DataVariable, type ObjectBtf, resolveSize } from './object-btf.ts';
import { refuseBy } from './object-fault.ts';
import type { ObjectKernel } from './object-kernel.ts';

export const KCONFIG_SECTION = '.kconfig';
export const KSYMS_SECTION = '.ksyms';
export interface Externs {
  /** By the number of their symbol. */
  readonly bySymbol: ReadonlyMap<number, Extern>;
  /** The values that `.kconfig` asks for; undefined when it asks for none. */
  readonly config: ObjectMap | undefined;
}

export const isExternSymbol = ({ section, type, binding }: ObjectSymbol): boolean =>
  section === SHN_UNDEF && type === STT.NOTYPE && (binding === STB.GLOBAL || binding === STB.WEAK);

function findExterns(file: ElfFile, btf: ObjectBtf): readonly FoundExtern[] {
  const known = new Map<string, { readonly section: string; readonly variable: DataVariable }>();
  for (const section of [KCONFIG_SECTION, KSYMS_SECTION])
    for (const variable of btf.dataSections.get(section)?.variables ?? [])
      known.set(variable.name, { section, variable });
  return file.symbols
    .filter((symbol) => isExternSymbol(symbol) && symbol.name !== '')
    .map((symbol) => {
      const found = known.get(symbol.name);
      if (found !== undefined) return { symbol, ...found };
      const place = { section: '.symtab', offset: 0 };
      return refuseBy('bpf.object.extern', 'ESRCH', place, `extern ${symbol.name} is in neither .kconfig nor .ksyms`);
    });
}

/** LINUX_HAS_BPF_COOKIE: bpf_get_attach_cookie for perf events came with 5.15. */
const COOKIE_SINCE = { major: 5, minor: 15 };
const PATCH_MAX = 255;

/** Variables that libbpf itself fills in; undefined for what it does not know. */
function virtualValue(name: string, kernel: ObjectKernel): number | undefined {
  const { major, minor, patch } = kernel.version;
  switch (name) {
    case 'LINUX_KERNEL_VERSION':
      return (major << 16) + (minor << 8) + Math.min(patch, PATCH_MAX);
    case 'LINUX_HAS_BPF_COOKIE':
      return major > COOKIE_SINCE.major || (major === COOKIE_SINCE.major && minor >= COOKIE_SINCE.minor) ? 1 : 0;
    case 'LINUX_HAS_SYSCALL_WRAPPER':
      return kernel.addressesOf('__x64_sys_bpf').length > 0 ? 1 : 0;
    default:
      return undefined;
  }
}

function configValue(found: FoundExtern, kernel: ObjectKernel): number {
  const { name } = found.symbol;
  const value = virtualValue(name, kernel);
  if (value !== undefined) return value;
  if (name.startsWith('CONFIG_'))
    return refuseExtern(found, 'EOPNOTSUPP', 'asks for the configuration of the kernel, which its image does not tell');
  // What is LINUX_ and weak may be of a later libbpf: 0.
  if (name.startsWith('LINUX_') && isWeak(found.symbol)) return 0;
  return refuseExtern(found, 'EINVAL', 'is no variable that a loader fills in');
}

const INTEGER_SIZES: readonly number[] = [1, 2, 4, 8];

/** `.kconfig` as a map: by falling alignment, rising size, name (cmp_externs). */
function configMap(
  externs: readonly FoundExtern[],
  btf: ObjectBtf,
  kernel: ObjectKernel,
  object: string,
): { readonly map: ObjectMap | undefined; readonly offsets: ReadonlyMap<number, number> } {
  const sized = externs.map((found) => {
    const size = resolveSize(btf.types, found.variable.type) ?? 0;
    const kind = btf.types.kind(stripBtf(btf.types, found.variable.type));
    if (kind !== BTF_KIND.INT || !INTEGER_SIZES.includes(size))
      refuseExtern(found, 'EOPNOTSUPP', 'is of a type that no such variable has here');
    return { found, size };
  });
  sized.sort(
    (a, b) =>
      b.size - a.size ||
      (a.found.symbol.name < b.found.symbol.name ? -1 : a.found.symbol.name > b.found.symbol.name ? 1 : 0),
  );
  const offsets = new Map<number, number>();
  let end = 0;
  for (const { found, size } of sized) {
    end = Math.ceil(end / size) * size;
    offsets.set(found.symbol.index, end);
    end += size;
  }
  if (end === 0) return { map: undefined, offsets };
  const initial = new Uint8Array(end);
  const view = new DataView(initial.buffer);
  for (const { found, size } of sized) {
    const value = configValue(found, kernel);
    if (size < 4 && value >= 2 ** (8 * size))
      refuseExtern(found, 'EINVAL', `has ${size} bytes, and its value is ${value}`);
    const at = offsets.get(found.symbol.index) as number;
    if (size >= 4) view.setUint32(at, value, true);
    else if (size === 2) view.setUint16(at, value, true);
    else view.setUint8(at, value);
  }
  const section = KCONFIG_SECTION;
  const request = { object, section, size: end, isReadOnly: true, isMmapable: true, btf, initial };
  return { map: { spec: dataMap(request), section: -1, offset: undefined, isPinned: false }, offsets };
}

export function resolveExterns(file: ElfFile, btf: ObjectBtf, kernel: ObjectKernel, object: string): Externs {
  const externs = findExterns(file, btf);
  const config = configMap(
    externs.filter(({ section }) => section === KCONFIG_SECTION),
    btf,
    kernel,
    object,
  );
  const bySymbol = new Map<number, Extern>();
  const budget = new CoreBudget();
  // The numbers of libbpf: variables of the configuration first, then symbols by name.
  const sorted = [...externs].sort((a, b) => {
    if (a.section !== b.section) return a.section === KCONFIG_SECTION ? -1 : 1;
    return a.symbol.name < b.symbol.name ? -1 : 1;
  });
  for (const [index, found] of sorted.entries()) {
    const offset = config.offsets.get(found.symbol.index);
    const extern: Extern =
      offset === undefined ? kernelSymbol(found, { btf, kernel, index, budget }) : { kind: 'config', offset };
    bySymbol.set(found.symbol.index, extern);
  }
  return { bySymbol, config: config.map };
}
