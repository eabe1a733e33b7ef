/** Requests that the rules of static branches, static calls, tracepoints and kgdb refuse, on the built-in kernel. */
import assert from 'node:assert/strict';
import { type Fault, type KernelAddress, kernelAddress } from '../../src/base/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import type { AttachRequest } from '../../src/registry/index.ts';
import type { RegistryLab } from './registry-lab.ts';

export interface RuleCase {
  readonly refuse: (lab: RegistryLab) => Fault;
  /** Errno when it is not the rule's usual one. */
  readonly errno?: Fault['errno'];
  /** Attachments that must be named as holders, by client. */
  readonly holders?: readonly string[];
  readonly image?: (image: KernelImage) => KernelImage;
}

const F = 'tcp_set_state';

const asked =
  (kind: AttachRequest['kind'], target: string, options: Readonly<Record<string, unknown>> = {}) =>
  (lab: RegistryLab): Fault =>
    lab.refused(kind, target, options);

const KEY = 'bpf_stats_enabled_key';

const firstLabel = (lab: RegistryLab): string => lab.address(lab.world.image.jumpLabels.code[0] ?? Number.NaN);

/** A breakpoint where something else is attached afterwards. */
const behindBreakpoint =
  (place: string, kind: AttachRequest['kind'], target: string, options: Readonly<Record<string, unknown>> = {}) =>
  (lab: RegistryLab): Fault => {
    lab.attach('kgdb', place, {}, 'first');
    return lab.refused(kind, target, options);
  };

/** A breakpoint where something else is attached already. */
const breakpointOn =
  (kind: AttachRequest['kind'], place: string) =>
  (lab: RegistryLab): Fault => {
    const [at] = lab.attach(kind, place, {}, 'first').sites;
    return lab.refused('kgdb', lab.address(at ?? Number.NaN));
  };

function fillBreakpoints(lab: RegistryLab): Fault {
  for (let at = lab.world.coreText.start as number; at < lab.world.coreText.end; at++) {
    const { outcome } = lab.decide({ kind: 'kgdb', target: lab.address(at) });
    if (outcome.kind === 'refused' && outcome.fault.errno === 'E2BIG') return outcome.fault;
  }
  assert.fail('all were set');
}

/** Static branches and calls, tracepoints, and the debugger that looks at none of them. */
export const STATIC_CASES: Readonly<Record<string, RuleCase>> = {
  'jump_label.key.unknown': { refuse: asked('jump_label', F) },
  'jump_label.key.ambiguous': {
    refuse: asked('jump_label', '__tracepoint_sched_switch'),
    image: (image) => {
      const tracepoint = image.symbols.byName('__tracepoint_sched_switch')[0]?.address ?? 0n;
      const key = (index: number): KernelAddress =>
        index === 0 ? kernelAddress(tracepoint + 64n) : image.jumpLabels.key(index);
      return { ...image, jumpLabels: { ...image.jumpLabels, key } };
    },
  },
  'jump_label.key.held': {
    refuse: (lab) => {
      lab.attach('jump_label', KEY, {}, 'first');
      return lab.refused('jump_label', KEY, { enabled: false });
    },
    holders: ['first'],
  },
  'jump_label.site.bug': {
    refuse: (lab) => behindBreakpoint(firstLabel(lab), 'jump_label', firstLabel(lab))(lab),
    holders: ['first'],
  },
  'static_call.key.unknown': { refuse: asked('static_call', F) },
  'static_call.function.not-text': { refuse: asked('static_call', 'cond_resched', { to: 'no_such' }) },
  'static_call.site.bug': {
    refuse: behindBreakpoint('__SCT__cond_resched', 'static_call', 'cond_resched', { to: 'NULL' }),
    holders: ['first'],
  },
  'tracepoint.name.unknown': { refuse: asked('tracepoint', F) },
  'tracepoint.probe.not-text': { refuse: asked('tracepoint', 'sched_switch', { probe: 'no_such' }) },
  'kgdb.address.not-text': { refuse: asked('kgdb', 'start_kernel') },
  'kgdb.address.blacklisted': { refuse: asked('kgdb', 'get_kprobe') },
  'kgdb.breakpoint.exists': { refuse: behindBreakpoint(`${F}+0x9`, 'kgdb', `${F}+0x9`), holders: ['first'] },
  'kgdb.breakpoint.too-many': { refuse: fillBreakpoints },
  'kgdb.breakpoint.in-the-way': { refuse: behindBreakpoint(`${F}+0x4`, 'ftrace', F), holders: ['first'] },
  'bpf.trampoline.hidden-endbr': { refuse: behindBreakpoint(F, 'fexit', F), holders: ['first'] },
  'kgdb.site.ftrace': { refuse: breakpointOn('livepatch', F), holders: ['first'] },
  'kgdb.site.jump-label': { refuse: (lab) => lab.refused('kgdb', firstLabel(lab)) },
  'kgdb.site.static-call': { refuse: breakpointOn('static_call', 'cond_resched'), holders: ['first'] },
  'kgdb.site.kprobe': { refuse: breakpointOn('kprobe', `${F}+0x9`), holders: ['first'] },
  'kgdb.site.bpf': {
    refuse: breakpointOn('fentry', F),
    image: (image) => {
      const site = (image.symbols.offsetOf(F) ?? 0) + 4;
      return { ...image, ftraceSites: image.ftraceSites.filter((each) => each !== site) };
    },
    holders: ['first'],
  },
};
