import type { Result } from '../../base/index.ts';
import { generateDirectTrampoline } from './trampoline-direct.ts';
import { generateLinuxTrampoline } from './trampoline-linux.ts';
import { type BpfTrampolineRequest, type GeneratedTrampoline, isDirectLayout } from './trampoline-request.ts';
import { generateSeedTrampoline } from './trampoline-seed.ts';

/**
 * The machine code of a BPF trampoline, for the place where it will live. Pure.
 *
 * Faults: ENOTSUPP more argument words than the layout carries; EINVAL a call does not reach (±2 GiB); EFAULT longer than a page;
 * ENOENT a kernel function it must call is not in `symbols`; EOPNOTSUPP (all but `linux`) fexit or fmod_ret.
 */
export function generateBpfTrampoline(request: BpfTrampolineRequest): Result<GeneratedTrampoline> {
  const { layout } = request;
  if (isDirectLayout(layout)) return generateDirectTrampoline({ ...request, layout });
  return layout === 'seed' ? generateSeedTrampoline(request) : generateLinuxTrampoline(request);
}
