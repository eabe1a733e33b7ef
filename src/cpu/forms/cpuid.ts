/**
 * What cpuid answers: a processor that has what the table of forms has, and no vector units. Fixed, so that runs can be repeated.
 */
type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];

const NOTHING: Leaf = [0, 0, 0, 0];
/** GenuineIntel: Linux takes decisions by this name, and a name of our own would be unknown to it. */
const GENUINE: readonly [number, number, number] = [0x756e_6547, 0x6c65_746e, 0x4965_6e69];
/** Family 6, model 0x8f, stepping 0. */
const SIGNATURE = 0x000806f0;

/** fpu is absent; tsc, msr, cx8, sep, pge, cmov, clflush. */
const FEATURES_1_EDX = (1 << 4) | (1 << 5) | (1 << 8) | (1 << 13) | (1 << 15) | (1 << 19);
/** cx16, movbe, popcnt, hypervisor; sse4.2, of which crc32 is the integer part, stays away with the vectors. */
const FEATURES_1_ECX = (1 << 13) | (1 << 22) | (1 << 23) | (1 << 31);
/** fsgsbase, bmi1, smep, bmi2, erms, adx, smap, clflushopt, clwb. */
const FEATURES_7_EBX =
  (1 << 0) | (1 << 3) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 19) | (1 << 20) | (1 << 23) | (1 << 24);
/** rdpid. */
const FEATURES_7_ECX = 1 << 22;
/** fsrm, serialize. */
const FEATURES_7_EDX = (1 << 4) | (1 << 14);

export function cpuidLeaf(eax: number, ecx: number, cpu: number): Leaf {
  switch (eax >>> 0) {
    case 0:
      return [7, GENUINE[0], GENUINE[2], GENUINE[1]];
    case 1:
      // 64-byte cache lines, the CPU's number as APIC id.
      return [SIGNATURE, (cpu << 24) | (64 << 16) | (8 << 8), FEATURES_1_ECX, FEATURES_1_EDX];
    case 7:
      return ecx === 0 ? [0, FEATURES_7_EBX, FEATURES_7_ECX, FEATURES_7_EDX] : NOTHING;
    case 0x8000_0000:
      return [0x8000_0008 | 0, 0, 0, 0];
    case 0x8000_0001:
      // lahf, lzcnt, prefetchw; nx, rdtscp, long mode.
      return [SIGNATURE, 0, (1 << 0) | (1 << 5) | (1 << 8), (1 << 20) | (1 << 27) | (1 << 29)];
    case 0x8000_0008:
      return [48 << 8, 0, 0, 0];
    default:
      return NOTHING;
  }
}
