/**
 * Where the built-in kernel, which has no BPF of its own, has its helpers: behind the arena, within reach of its code. Other kernels have
 * functions for them.
 */
export const HELPER_STUBS_START = 0xffff_ffff_ff12_0000n;
export const HELPER_STUBS_MAX = 512;
const STUB_SIZE = 16;
export const HELPER_STUBS_SIZE = HELPER_STUBS_MAX * STUB_SIZE;

/** Where tracepoints of the built-in kernel call raw programs: the last stub, which is no helper's. */
export const TRACE_RUN_STUB_ID = HELPER_STUBS_MAX - 1;

export const helperStub = (id: number): bigint => HELPER_STUBS_START + BigInt(id * STUB_SIZE);
