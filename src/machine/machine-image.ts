import type { DataSection, ImageData, KernelImage } from '../image/index.ts';
import { HELPER_PROTOTYPES } from '../jit/index.ts';
import { type RulesKernel, rulesKernel } from '../registry/index.ts';
import { CPU_COUNT } from './layout.ts';

/** A kernel as a thread gets it: bytes in shared memory, and the addresses of what the machine knows by name. Plain data. */
export interface MachineImage {
  readonly release: string;
  readonly kernel: RulesKernel;
  /** Address of `_text`. */
  readonly base: bigint;
  /** Executable ranges after boot; what was freed is not among them. Offsets from `base`. */
  readonly text: readonly { readonly start: number; readonly bytes: Uint8Array }[];
  readonly data: readonly DataSection[];
  /** Addresses by name, of {@link SYMBOLS} as far as the kernel has them. */
  readonly symbols: Readonly<Record<string, bigint>>;
  /** Offsets of members of struct pcpu_hot and struct task_struct, from BTF. */
  readonly members: Readonly<Record<string, number>>;
  /** sizeof(struct task_struct), as init_task has room. */
  readonly taskSize: number;
  readonly cmdline: string;
  /** 1 to 64. */
  readonly cpus: number;
}

/** What the machine looks for in a kernel: functions it intercepts, tables it reads, variables that boot would have set. */
const SYMBOLS = [
  ...['__per_cpu_start', '__per_cpu_end', '__per_cpu_offset', 'fixed_percpu_data', 'this_cpu_off', 'cpu_number'],
  ...['pcpu_hot', 'current_task', '__preempt_count', 'cpu_current_top_of_stack', 'init_task', '__end_rodata'],
  ...['nr_cpu_ids', '__cpu_online_mask', '__cpu_possible_mask', '__cpu_present_mask', '__cpu_active_mask'],
  ...['__num_online_cpus', 'system_state', 'saved_command_line', '_text', '_etext', '_stext'],
  ...['__printk_percpu_data_ready'],
  ...['__start___ex_table', '__stop___ex_table', '__start___bug_table', '__stop___bug_table'],
  ...['arch_ftrace_ops_list_func', 'ftrace_ops_assist_func', 'kprobe_ftrace_handler', 'fprobe_handler'],
  ...['function_trace_call', 'klp_ftrace_handler', 'ftrace_graph_func', 'call_direct_funcs', 'ftrace_stub'],
  ...['arch_rethook_trampoline', 'arch_rethook_trampoline_callback', 'return_to_handler', 'ftrace_return_to_handler'],
  ...['__bpf_prog_enter', '__bpf_prog_exit', '__bpf_prog_enter_recur', '__bpf_prog_exit_recur'],
  ...['__bpf_prog_enter_sleepable', '__bpf_prog_exit_sleepable', '__bpf_prog_enter_sleepable_recur'],
  ...['__bpf_prog_exit_sleepable_recur', '__bpf_prog_enter_lsm_cgroup', '__bpf_prog_exit_lsm_cgroup'],
  ...[
    '__bpf_tramp_enter',
    '__bpf_tramp_exit',
    '_printk',
    'vsnprintf',
    '__stack_chk_fail',
    'panic',
    '__warn_printk',
    'kprobe_ftrace_kill',
    'optimized_callback',
    'perf_trace_buf_alloc',
    'perf_trace_run_bpf_submit',
  ],
  ...Array.from({ length: 12 }, (_, i) => `bpf_trace_run${i + 1}`),
  ...[...HELPER_PROTOTYPES.values()].flatMap(({ symbol, symbolOf = {} }) => [symbol, ...Object.values(symbolOf)]),
];

const MEMBERS: readonly (readonly [tag: string, ...members: readonly string[]])[] = [
  ['pcpu_hot', 'current_task', 'preempt_count', 'cpu_number', 'top_of_stack'],
  ['task_struct', 'stack', 'cpu', 'rethooks'],
  ['tracepoint', 'funcs'],
  ['trace_event_call', 'prog_array'],
];

function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

function members(image: KernelImage): { readonly offsets: Record<string, number>; readonly taskSize: number } {
  const offsets: Record<string, number> = {};
  for (const [tag, ...names] of MEMBERS) {
    const layout = image.btf?.struct(tag);
    for (const name of names) {
      const offset = layout?.offsets.get(name);
      if (offset !== undefined) offsets[`${tag}.${name}`] = offset;
    }
  }
  const [task] = image.symbols.byName('init_task');
  return { offsets, taskSize: image.btf?.struct('task_struct')?.size ?? task?.size ?? 0 };
}

/** Copies pristine text into shared memory: once for a kernel, whatever the number of threads. */
export function machineImage(image: KernelImage, data: ImageData, cpus = CPU_COUNT): MachineImage {
  const address = (name: string): bigint | undefined => image.symbols.byName(name)[0]?.address;
  const freed = [address('__init_begin'), address('__init_end')] as const;
  const isFreed = (at: bigint): boolean =>
    freed[0] !== undefined && freed[1] !== undefined && at >= freed[0] && at < freed[1];
  const symbols: Record<string, bigint> = {};
  for (const name of SYMBOLS) {
    const at = address(name);
    if (at !== undefined) symbols[name] = at;
  }
  const { offsets, taskSize } = members(image);
  return {
    release: image.release,
    kernel: rulesKernel(image.version),
    base: image.base,
    text: image.pristine.ranges
      .filter((range) => !isFreed(image.base + BigInt(range.start)))
      .map(({ start, length }) => ({ start, bytes: shared(image.pristine.bytes(start, length)) })),
    data: data.sections,
    symbols,
    members: offsets,
    taskSize,
    cmdline: image.profile.cmdline,
    cpus,
  };
}
