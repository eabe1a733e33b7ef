import type { BootProfile } from '../kernel-image.ts';

export type CpuVendor = 'intel' | 'amd' | 'hygon' | 'centaur' | 'zhaoxin' | 'other';

/** /proc/cpuinfo of one CPU. */
export interface CpuInfo {
  readonly vendor: CpuVendor;
  readonly modelName: string;
  /** Undefined when the profile has no such line. */
  readonly family: number | undefined;
  readonly model: number | undefined;
  readonly flags: ReadonlySet<string>;
  readonly bugs: ReadonlySet<string>;
  /** From `siblings` and `cpu cores`; undefined when the profile does not have them. */
  readonly threadsPerCore: number | undefined;
  readonly cpus: number | undefined;
}

const VENDORS: Readonly<Record<string, CpuVendor>> = {
  GenuineIntel: 'intel',
  AuthenticAMD: 'amd',
  HygonGenuine: 'hygon',
  CentaurHauls: 'centaur',
  '  Shanghai  ': 'zhaoxin',
  Shanghai: 'zhaoxin',
};

const number = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;

export function parseCpuInfo(profile: BootProfile): CpuInfo {
  const fields = new Map<string, string>();
  for (const line of profile.cpu) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const name = line.slice(0, colon).trim();
    if (!fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  const words = (name: string): ReadonlySet<string> =>
    new Set((fields.get(name) ?? '').split(/\s+/).filter((word) => word !== ''));
  const siblings = number(fields.get('siblings'));
  const cores = number(fields.get('cpu cores'));
  return {
    vendor: VENDORS[fields.get('vendor_id') ?? ''] ?? 'other',
    modelName: fields.get('model name') ?? '',
    family: number(fields.get('cpu family')),
    model: number(fields.get('model')),
    flags: words('flags'),
    bugs: words('bugs'),
    threadsPerCore: siblings !== undefined && cores !== undefined && cores > 0 ? siblings / cores : undefined,
    cpus: siblings,
  };
}

/** kvmclock says that it knows the TSC's frequency; plain emulation and bare metal virtual CPUs of QEMU do not. */
export const isKvmGuest = (cpu: CpuInfo): boolean => cpu.flags.has('hypervisor') && cpu.flags.has('tsc_known_freq');
