/** Refusals that only some kernel versions make, on the built-in image with another version number. */
import type { Fault } from '../../src/base/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { type RegistryLab, withoutSymbols } from './registry-lab.ts';

const F = 'tcp_set_state';

/** The image as a kernel of another version. */
export const ofVersion =
  (version: string) =>
  (image: KernelImage): KernelImage => {
    const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
    return { ...image, version: { major, minor, patch } };
  };

interface Case {
  readonly refuse: (lab: RegistryLab) => Fault;
  readonly holders?: readonly string[];
  readonly image: (image: KernelImage) => KernelImage;
}

export const KERNEL_CASES: Readonly<Record<string, Case>> = {
  'kernel.fact.unknown': {
    refuse: (lab) => lab.refused('fentry', '__rcu_read_lock'),
    image: ofVersion('5.15'),
  },
  'ftrace.direct.claims-ipmodify': {
    refuse: (lab) => {
      lab.attach('livepatch', [F], {}, 'first');
      return lab.refused('fentry', F);
    },
    holders: ['first'],
    image: ofVersion('5.15'),
  },
  'ftrace.direct.no-ops-func': {
    refuse: (lab) => lab.refused('ftrace_direct', F, { sharesIpmodify: true }),
    image: ofVersion('5.15'),
  },
  'ftrace.graph.busy': {
    refuse: (lab) => {
      lab.attach('ftrace', F, { tracer: 'function_graph' }, 'first');
      return lab.refused('ftrace', 'vfs_read', { tracer: 'function_graph' });
    },
    holders: ['first'],
    image: ofVersion('6.6'),
  },
  'bpf.trampoline.retry-busy': {
    refuse: (lab) => {
      lab.attach('livepatch', [F], {}, 'first');
      return lab.refused('fexit', F);
    },
    holders: ['first'],
    image: ofVersion('6.16'),
  },
  'kprobe.arm.unreported': {
    refuse: (lab) => {
      lab.attach('livepatch', [F], {}, 'first');
      return lab.refused('kprobe', F, { postHandler: true });
    },
    holders: ['first'],
    image: ofVersion('6.18'),
  },
  // A kernel whose trampolines call what this image does not have.
  'bpf.trampoline.unknown-layout': {
    refuse: (lab) => lab.refused('fentry', F),
    image: (image) => withoutSymbols(image, '__bpf_prog_enter_recur'),
  },
};
