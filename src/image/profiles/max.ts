import type { BootProfile } from '../kernel-image.ts';

/**
 * The boot state of `qemu-system-x86_64 -cpu max`, recorded on Debian 12 with TCG: the CPU of the recordings in test/conformance.
 */
export const MAX_PROFILE: BootProfile = {
  name: 'max',
  cpu: [
    'vendor_id\t: AuthenticAMD',
    'model name\t: QEMU TCG CPU version 2.5+',
    'flags\t\t: fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush acpi mmx fxsr sse sse2 ss ht syscall nx mmxext pdpe1gb rdtscp lm 3dnowext 3dnow rep_good nopl xtopology cpuid extd_apicid pni pclmulqdq monitor ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand hypervisor lahf_lm cmp_legacy svm cr8_legacy abm sse4a 3dnowprefetch vmmcall fsgsbase bmi1 avx2 smep bmi2 erms mpx adx smap clflushopt clwb xsaveopt xgetbv1 arat npt vgif umip pku ospke vaes la57',
    'bugs\t\t: fxsave_leak sysret_ss_attrs null_seg swapgs_fence amd_e400 spectre_v1 spectre_v2',
  ],
  vulnerabilities: {
    gather_data_sampling: 'Not affected',
    indirect_target_selection: 'Not affected',
    itlb_multihit: 'Not affected',
    l1tf: 'Not affected',
    mds: 'Not affected',
    meltdown: 'Not affected',
    mmio_stale_data: 'Not affected',
    reg_file_data_sampling: 'Not affected',
    retbleed: 'Not affected',
    spec_rstack_overflow: 'Not affected',
    spec_store_bypass: 'Not affected',
    spectre_v1: 'Mitigation: usercopy/swapgs barriers and __user pointer sanitization',
    spectre_v2: 'Mitigation: Retpolines; STIBP: disabled; RSB filling; PBRSB-eIBRS: Not affected; BHI: Not affected',
    srbds: 'Not affected',
    tsa: 'Not affected',
    tsx_async_abort: 'Not affected',
    vmscape: 'Not affected',
  },
  cmdline: 'console=ttyS0 panic=-1 nokaslr loglevel=4 labjob=boot:x',
};
