import { fromHex, type KernelAddress, kernelAddress, toHex, toOffset } from '../../src/base/index.ts';
import { applyBootPatching, type BootResult } from '../../src/image/boot/index.ts';
import type { BootProfile, KernelVersion } from '../../src/image/kernel-image.ts';
import type { RawKernel, RawSection } from '../../src/image/raw-kernel.ts';

export const BASE = 0xffff_ffff_8100_0000n;

/** A kernel of a few bytes, made by hand: sections by name with their place and contents, symbols by offset from `_text`. */
export interface TinyKernel {
  readonly version?: KernelVersion;
  readonly sections: Readonly<Record<string, { readonly at: number; readonly hex: string; readonly isCode?: boolean }>>;
  readonly symbols: Readonly<Record<string, number>>;
}

export const V6_12: KernelVersion = { major: 6, minor: 12, patch: 117 };
export const V6_1: KernelVersion = { major: 6, minor: 1, patch: 192 };

export function tinyKernel(tiny: TinyKernel): RawKernel {
  const base = kernelAddress(BASE);
  const sections: RawSection[] = Object.entries(tiny.sections).map(([name, { at, hex, isCode }]) => {
    const bytes = fromHex(hex.replaceAll(/\s+/g, ''));
    if (bytes === undefined) throw new Error(`section ${name} is no hex`);
    const address = kernelAddress(base + BigInt(at)) as KernelAddress;
    return {
      name,
      offset: at,
      address,
      size: bytes.length,
      executable: isCode ?? false,
      writable: !(isCode ?? false),
      bytes,
    };
  });
  return {
    release: 'tiny',
    version: tiny.version ?? V6_12,
    base,
    sections,
    section: (name) => sections.find((section) => section.name === name),
    read: (offset, length) => {
      const found = sections.find((s) => offset >= (s.offset ?? 0) && offset + length <= (s.offset ?? 0) + s.size);
      return found?.bytes.subarray(offset - (found.offset ?? 0), offset - (found.offset ?? 0) + length);
    },
    symbolOffset: (name) => tiny.symbols[name],
    symbolAddress: (name) => {
      const offset = tiny.symbols[name];
      return offset === undefined ? undefined : kernelAddress(base + BigInt(offset));
    },
    describe: (offset) => {
      const known = Object.entries(tiny.symbols).filter(([, at]) => at <= offset);
      const nearest = known.sort((a, b) => b[1] - a[1])[0];
      return nearest === undefined
        ? `0x${offset.toString(16)}`
        : `${nearest[0]}+0x${(offset - nearest[1]).toString(16)}`;
    },
  };
}

/** Place-relative s32 of a table at `at`, as hex. */
export const relative = (at: number, ...targets: readonly number[]): string =>
  targets.map((target, i) => s32(target - (at + 4 * i))).join('');

export function s32(value: number): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return toHex(bytes);
}

/** A pointer to an offset from `_text`, as hex. */
export function pointer(offset: number): string {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BASE + BigInt(offset), true);
  return toHex(bytes);
}

export const AMD_PROFILE: BootProfile = {
  name: 'amd',
  cpu: ['vendor_id\t: AuthenticAMD', 'flags\t\t: fpu tsc apic ht sse2', 'bugs\t\t: spectre_v1 spectre_v2'],
  vulnerabilities: { spectre_v2: 'Mitigation: Retpolines; RSB filling' },
  cmdline: '',
};

/** Boots a tiny kernel; its code sections afterwards, as hex, and what was reported. */
export function boot(
  tiny: TinyKernel,
  profile: Partial<BootProfile> = {},
): { readonly code: Readonly<Record<string, string>>; readonly result: BootResult } {
  const kernel = tinyKernel(tiny);
  const text = kernel.sections
    .filter((section) => section.executable)
    .map((section) => ({ name: section.name, start: section.offset ?? 0, bytes: section.bytes.slice() }));
  const result = applyBootPatching({ kernel, profile: { ...AMD_PROFILE, ...profile }, text });
  if (!result.ok) throw new Error(result.fault.detail);
  return { code: Object.fromEntries(text.map((range) => [range.name, toHex(range.bytes)])), result: result.value };
}

export const addressOf = (offset: number): number | undefined => toOffset(kernelAddress(BASE), BASE + BigInt(offset));
