/** The owners of the matrix: every kind and choice of options that decides differently, at one function. */
import type { AttachRequest } from '../../src/registry/index.ts';

/** Allows every kind, fmod_ret included; its own name is a target of the kernel's BPF selftests. */
export const FUNCTION = 'bpf_modify_return_test';

export interface MatrixOwner {
  readonly name: string;
  /** Where: the function, its ftrace site by address, an instruction in its body, or what the kind has a name of its own for. */
  readonly at: 'entry' | 'site' | 'body' | { readonly named: string };
  readonly kind: AttachRequest['kind'];
  readonly options: Readonly<Record<string, unknown>>;
  /** Column and row of the conflict matrix that Linux's sources give (its legend is in docs/matrix.md). */
  readonly group: OwnerGroup;
}

export type OwnerGroup =
  | 'ops'
  | 'kprobe'
  | 'kprobe with post_handler'
  | 'ipmodify'
  | 'livepatch'
  | 'direct'
  | 'sharing direct'
  | 'fentry'
  | 'fexit'
  | 'body'
  | 'breakpoint'
  | 'static';

/** Its key and its static call are what jump_label and static_call take here: the three meet at the tracepoint's sites. */
const TRACEPOINT = 'sched_switch';

const owner = (
  name: string,
  group: OwnerGroup,
  kind: AttachRequest['kind'],
  options: Readonly<Record<string, unknown>> = {},
  at: MatrixOwner['at'] = 'entry',
): MatrixOwner => ({ name, at, kind, options, group });

export const MATRIX_OWNERS: readonly MatrixOwner[] = [
  owner('kprobe', 'kprobe', 'kprobe'),
  owner('kprobe perf', 'kprobe', 'kprobe', { via: 'perf' }),
  owner('kprobe tracefs', 'kprobe', 'kprobe', { via: 'tracefs' }),
  owner('kprobe post', 'kprobe with post_handler', 'kprobe', { postHandler: true }),
  owner('kprobe body', 'body', 'kprobe', {}, 'body'),
  owner('kprobe body post', 'body', 'kprobe', { postHandler: true }, 'body'),
  owner('kretprobe', 'kprobe', 'kretprobe'),
  owner('kprobe_multi', 'ops', 'kprobe_multi'),
  owner('kretprobe_multi', 'ops', 'kretprobe_multi'),
  owner('fprobe', 'ops', 'fprobe'),
  owner('ftrace', 'ops', 'ftrace'),
  owner('ftrace regs', 'ops', 'ftrace', { saveRegs: true }),
  owner('ftrace ipmodify', 'ipmodify', 'ftrace', { ipmodify: true, saveRegs: true }),
  owner('function tracer', 'ops', 'ftrace', { tracer: 'function' }),
  owner('graph tracer', 'ops', 'ftrace', { tracer: 'function_graph' }),
  owner('direct', 'direct', 'ftrace_direct'),
  owner('direct sharing', 'sharing direct', 'ftrace_direct', { sharesIpmodify: true }),
  owner('fentry', 'fentry', 'fentry'),
  owner('fexit', 'fexit', 'fexit'),
  owner('fmod_ret', 'fexit', 'fmod_ret'),
  owner('livepatch', 'livepatch', 'livepatch'),
  owner('livepatch replace', 'livepatch', 'livepatch', { replace: true }),
  owner('kgdb', 'breakpoint', 'kgdb', {}, 'site'),
  owner('kgdb start', 'breakpoint', 'kgdb'),
  owner('kgdb body', 'breakpoint', 'kgdb', {}, 'body'),
  owner('jump_label', 'static', 'jump_label', {}, { named: `__tracepoint_${TRACEPOINT}` }),
  owner('jump_label off', 'static', 'jump_label', { enabled: false }, { named: `__tracepoint_${TRACEPOINT}` }),
  owner('static_call', 'static', 'static_call', {}, { named: `tp_func_${TRACEPOINT}` }),
  owner('tracepoint', 'static', 'tracepoint', {}, { named: TRACEPOINT }),
];
