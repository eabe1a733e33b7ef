import { formatAddress, toAddress, toHex } from '../base/index.ts';
import { RUN_CODE } from '../jit/index.ts';
import { attachmentsOf, type BpfProgram, jitedProgram } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';
import type { ProgramView } from './service-programs.ts';

export function programView(kernel: Kernel, program: BpfProgram): ProgramView {
  const { world } = kernel;
  const { bytes } = jitedProgram(world, program);
  return {
    id: program.id,
    name: program.name,
    type: program.type,
    attachTo: program.attachTo ?? null,
    client: program.client,
    since: new Date(program.sinceMs).toISOString(),
    insns: program.insns,
    jited: {
      bytes: toHex(bytes),
      size: bytes.length,
      address: formatAddress(toAddress(world.image.base, program.image?.at ?? RUN_CODE)),
    },
    maps: program.maps.map(({ id }) => id),
    attachments: attachmentsOf(kernel.view(), program),
  };
}
