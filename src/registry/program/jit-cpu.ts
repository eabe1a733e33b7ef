import type { BpfJitCpu } from '../../jit/index.ts';
import type { World } from '../world.ts';

const HAS_BMI2 = /^flags\s*:.*\bbmi2\b/;

/** What this boot asks of compiled programs. Tail calls, the only indirect jumps, are not compiled here yet. */
export function bpfJitCpu({ cpu, image }: World): BpfJitCpu {
  return {
    ...cpu,
    bmi2: image.profile.cpu.some((line) => HAS_BMI2.test(line)),
    indirectJump: { kind: 'plain', hasInt3: true },
  };
}
