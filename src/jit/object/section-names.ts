/** What the name of a section says of the program in it: the table `section_defs` of tools/lib/bpf/libbpf.c (6.12). */

export type SectionType =
  | 'fentry'
  | 'fexit'
  | 'fmod_ret'
  | 'freplace'
  | 'lsm'
  | 'kprobe'
  | 'kretprobe'
  | 'kprobe_multi'
  | 'kretprobe_multi'
  | 'kprobe_session'
  | 'ksyscall'
  | 'kretsyscall'
  | 'uprobe'
  | 'tracepoint'
  | 'raw_tracepoint'
  | 'tp_btf';

export interface SectionMeaning {
  readonly type: SectionType;
  /** What stands behind the slash: a function, a place, a pattern, `category/event`; undefined when nothing does. */
  readonly target: string | undefined;
  /** The program may sleep (`.s`). */
  readonly isSleepable: boolean;
}

interface Definition {
  readonly name: string;
  readonly type: SectionType;
  readonly isSleepable?: boolean;
}

/** Where a name of libbpf's ends in `+`, a target may follow a slash; all of these do. */
const DEFINITIONS: readonly Definition[] = [
  { name: 'kprobe', type: 'kprobe' },
  { name: 'kretprobe', type: 'kretprobe' },
  { name: 'kprobe.multi', type: 'kprobe_multi' },
  { name: 'kretprobe.multi', type: 'kretprobe_multi' },
  { name: 'kprobe.session', type: 'kprobe_session' },
  { name: 'ksyscall', type: 'ksyscall' },
  { name: 'kretsyscall', type: 'kretsyscall' },
  ...['uprobe', 'uretprobe', 'uprobe.multi', 'uretprobe.multi', 'usdt'].flatMap((name) => [
    { name, type: 'uprobe' as const },
    { name: `${name}.s`, type: 'uprobe' as const, isSleepable: true },
  ]),
  { name: 'tracepoint', type: 'tracepoint' },
  { name: 'tp', type: 'tracepoint' },
  { name: 'raw_tracepoint', type: 'raw_tracepoint' },
  { name: 'raw_tp', type: 'raw_tracepoint' },
  { name: 'tp_btf', type: 'tp_btf' },
  { name: 'fentry', type: 'fentry' },
  { name: 'fmod_ret', type: 'fmod_ret' },
  { name: 'fexit', type: 'fexit' },
  { name: 'fentry.s', type: 'fentry', isSleepable: true },
  { name: 'fmod_ret.s', type: 'fmod_ret', isSleepable: true },
  { name: 'fexit.s', type: 'fexit', isSleepable: true },
  { name: 'freplace', type: 'freplace' },
  { name: 'lsm', type: 'lsm' },
  { name: 'lsm.s', type: 'lsm', isSleepable: true },
];

/** Names that libbpf knows and that mean programs of other parts of the kernel: what stands before a slash. */
const ELSEWHERE: ReadonlySet<string> = new Set(
  `socket sk_reuseport tc tcx classifier action netkit raw_tracepoint.w raw_tp.w lsm_cgroup iter iter.s syscall xdp xdp.frags
   perf_event lwt_in lwt_out lwt_xmit lwt_seg6local sockops sk_skb sk_msg lirc_mode2 flow_dissector cgroup_skb cgroup struct_ops
   struct_ops.s sk_lookup netfilter`.split(/\s+/),
);

const REGISTERS = /^k(?:ret)?(?:probe|syscall)|^uprobe$/;

/** BPF_PROG_TYPE_KPROBE: what runs with registers for its context, wherever. */
export const isOfProbes = (type: SectionType): boolean => REGISTERS.test(type);

/** Types that are loaded without the place that they are for: the attachment says where. */
export const isPlacedLater = (type: SectionType): boolean =>
  isOfProbes(type) || type === 'tracepoint' || type === 'raw_tracepoint';

/**
 * What a section's name means; `elsewhere` when libbpf knows it and nothing of that type runs here, undefined when it does not know it. A leading
 * `?` (do not load by default) is no part of the name.
 */
export function meaningOf(section: string): SectionMeaning | 'elsewhere' | undefined {
  const name = section.startsWith('?') ? section.slice(1) : section;
  const slash = name.indexOf('/');
  const head = slash < 0 ? name : name.slice(0, slash);
  const definition = DEFINITIONS.find((each) => each.name === head);
  if (definition === undefined) return ELSEWHERE.has(head) ? 'elsewhere' : undefined;
  const target = slash < 0 ? undefined : name.slice(slash + 1);
  // A slash with nothing behind it: the program is for no function that BTF has, or is attached by hand (`kprobe.multi/`).
  if (target === '') {
    if (!isPlacedLater(definition.type)) return undefined;
    return { type: definition.type, target: undefined, isSleepable: false };
  }
  return { type: definition.type, target, isSleepable: definition.isSleepable === true };
}
