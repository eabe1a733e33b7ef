/**
 * Where the built-in kernel, which has no BPF of its own, has its helpers: behind the arena, within reach of its code. Other kernels have
 * functions for them.
 */
export const HELPER_STUBS_START = 0xffff_ffff_ff12_0000n;
export const HELPER_STUBS_MAX = 512;
const STUB_SIZE = 16;
export const HELPER_STUBS_SIZE = HELPER_STUBS_MAX * STUB_SIZE;

/**
 * Stubs that are code of their own, by helper: a lock is taken and given back on the CPU, with others waiting for it there. Both are what
 * __bpf_spin_lock does without queued spinlocks (kernel/bpf/helpers.c).
 */
export const STUB_CODE: ReadonlyMap<number, Uint8Array> = new Map([
  // mov $1, %eax; xchg %eax, (%rdi); test %eax, %eax; jne to the start; ret
  [93, Uint8Array.of(0xb8, 1, 0, 0, 0, 0x87, 0x07, 0x85, 0xc0, 0x75, 0xf5, 0xc3)],
  // movl $0, (%rdi); ret
  [94, Uint8Array.of(0xc7, 0x07, 0, 0, 0, 0, 0xc3)],
]);

/** Where tracepoints of the built-in kernel call raw programs: the last stub, which is no helper's. */
export const TRACE_RUN_STUB_ID = HELPER_STUBS_MAX - 1;

export const helperStub = (id: number): bigint => HELPER_STUBS_START + BigInt(id * STUB_SIZE);
