import type { KernelAddress } from '../../base/index.ts';

/**
 * Where a program lives while it is run by itself, counted from `_text`: in the module area, with stubs in place of the helpers. An attached
 * program is compiled again, for its place in the arena and the kernel's own helpers.
 */
export interface RunPlace {
  /** Address of `_text`. */
  readonly base: KernelAddress;
}

export const RUN_CODE = 0x3f00_0000;
export const HELPER_STUBS = 0x3ff0_0000;
/** Helpers that a program can call by number: more than 6.12 has. */
const HELPERS_MAX = 512;
const HELPER_STUB_SIZE = 16;

/** Where the stub of a helper stands; undefined when no helper can have that number. */
export const runHelper = (id: number): number | undefined =>
  id > 0 && id < HELPERS_MAX ? HELPER_STUBS + id * HELPER_STUB_SIZE : undefined;
/** Stub of calls by register, which find the helper's number in %rax: in place of helper 0. */
export const RUN_CALLX = HELPER_STUBS;

/** Where a function of the program returns to that a helper has called: behind the last helper. */
export const RUN_RESUME = HELPER_STUBS + HELPERS_MAX * HELPER_STUB_SIZE;

/** `mov $id,%eax; vmcall; ret` for each; the first and the one to return to leave %rax alone. */
export function runHelperStubs(): Uint8Array {
  const bytes = new Uint8Array((HELPERS_MAX + 1) * HELPER_STUB_SIZE).fill(0xcc);
  const view = new DataView(bytes.buffer);
  for (let id = 0; id <= HELPERS_MAX; id++) {
    let at = id * HELPER_STUB_SIZE;
    if (id > 0 && id < HELPERS_MAX) {
      bytes[at] = 0xb8;
      view.setUint32(at + 1, id, true);
      at += 5;
    }
    bytes.set([0x0f, 0x01, 0xc1, 0xc3], at);
  }
  return bytes;
}
