import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';

/** Sets that the kernel registers with register_btf_fmodret_id_set (6.12: net/bpf/test_run.c, drivers/hid/bpf). */
const SETS = ['bpf_test_modify_return_ids', 'hid_bpf_fmodret_ids', 'hid_bpf_syscall_fmodret_ids'] as const;

const HEADER = 8;
const PAIR = 8;
/** No kernel has more than a handful. */
const COUNT_MAX = 4_096;

/**
 * BTF ids of functions that fmod_ret may be attached to, each followed by its flags (struct btf_id_set8, include/linux/btf_ids.h, 6.12).
 * Empty for kernels without such sets (6.1).
 */
export function readFmodretIds(kernel: RawKernel): Uint32Array {
  const found: number[] = [];
  for (const name of SETS) {
    const at = kernel.symbolOffset(name);
    const header = at === undefined ? undefined : kernel.read(at, HEADER);
    if (at === undefined || header === undefined) continue;
    const count = new DataView(header.buffer, header.byteOffset, HEADER).getUint32(0, true);
    const pairs = count > COUNT_MAX ? undefined : kernel.read(at + HEADER, count * PAIR);
    if (pairs === undefined) return refuse('.BTF_ids', at, `${name} of ${count} entries`);
    const view = new DataView(pairs.buffer, pairs.byteOffset, pairs.byteLength);
    for (let i = 0; i < count * 2; i++) found.push(view.getUint32(i * 4, true));
  }
  return Uint32Array.from(found);
}
