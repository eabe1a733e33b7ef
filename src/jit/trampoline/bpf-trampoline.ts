import type { Result } from '../../base/index.ts';
import { generateLinuxTrampoline } from './trampoline-linux.ts';
import type { BpfTrampolineRequest, GeneratedTrampoline } from './trampoline-request.ts';
import { generateSeedTrampoline } from './trampoline-seed.ts';

/**
 * The machine code of a BPF trampoline, for the place where it will live. Pure.
 *
 * Faults: ENOTSUPP more argument words than the layout carries; EINVAL a call does not reach (±2 GiB); EFAULT longer than a page;
 * ENOENT a kernel function it must call is not in `symbols`; EOPNOTSUPP (`seed`) fexit or fmod_ret.
 */
export function generateBpfTrampoline(request: BpfTrampolineRequest): Result<GeneratedTrampoline> {
  return request.layout === 'seed' ? generateSeedTrampoline(request) : generateLinuxTrampoline(request);
}
