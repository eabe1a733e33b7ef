/**
 * The helpers that are built, with their types: bpf_tracing_func_proto and what calls it (kernel/trace/bpf_trace.c), bpf_base_func_proto
 * (kernel/bpf/helpers.c), ringbuf.c, stackmap.c (6.12). What is not in this table is refused when a program is loaded.
 */
import type { MapType } from '../maps/index.ts';
import type { ArgType, HelperProgramType, HelperPrototype, RetType } from './prototype.ts';

/** Programs that a BPF trampoline calls (bpf_prog_has_trampoline). */
const TRAMPOLINE = ['fentry', 'fexit', 'fmod_ret', 'lsm'] as const;
const ALL = [...TRAMPOLINE, 'kprobe', 'tracepoint', 'raw_tracepoint', 'tp_btf'] as const;

const KEYED: readonly MapType[] = ['hash', 'array', 'percpu_hash', 'percpu_array', 'lru_hash', 'lru_percpu_hash'];
const PER_CPU: readonly MapType[] = ['percpu_hash', 'percpu_array', 'lru_percpu_hash'];
const RINGBUF: readonly MapType[] = ['ringbuf'];

type Rest = Partial<Omit<HelperPrototype, 'id' | 'name' | 'args' | 'ret'>>;

/** Most go to a function of their own name and may be called by everybody. */
const helper = (
  id: number,
  name: string,
  args: readonly ArgType[],
  ret: RetType,
  rest: Rest = {},
): HelperPrototype => ({
  id,
  name,
  args,
  ret,
  programTypes: ALL,
  gplOnly: false,
  symbol: name,
  ...rest,
});

/** The function of a trampoline's program, of a tracepoint's, of a raw tracepoint's. */
const bySuffix = (name: string): Partial<Record<HelperProgramType, string>> => ({
  ...Object.fromEntries(TRAMPOLINE.map((type) => [type, `${name}_raw_tp`])),
  raw_tracepoint: `${name}_raw_tp`,
  tp_btf: `${name}_raw_tp`,
  tracepoint: `${name}_tp`,
});

const MAPS: readonly HelperPrototype[] = [
  helper(1, 'bpf_map_lookup_elem', ['ARG_CONST_MAP_PTR', 'ARG_PTR_TO_MAP_KEY'], 'RET_PTR_TO_MAP_VALUE_OR_NULL', {
    maps: KEYED,
  }),
  helper(
    2,
    'bpf_map_update_elem',
    ['ARG_CONST_MAP_PTR', 'ARG_PTR_TO_MAP_KEY', 'ARG_PTR_TO_MAP_VALUE', 'ARG_ANYTHING'],
    'RET_INTEGER',
    { maps: KEYED },
  ),
  helper(3, 'bpf_map_delete_elem', ['ARG_CONST_MAP_PTR', 'ARG_PTR_TO_MAP_KEY'], 'RET_INTEGER', { maps: KEYED }),
  helper(93, 'bpf_spin_lock', ['ARG_PTR_TO_SPIN_LOCK'], 'RET_VOID'),
  helper(94, 'bpf_spin_unlock', ['ARG_PTR_TO_SPIN_LOCK'], 'RET_VOID'),
  helper(12, 'bpf_tail_call', ['ARG_PTR_TO_CTX', 'ARG_CONST_MAP_PTR', 'ARG_ANYTHING'], 'RET_VOID', {
    maps: ['prog_array'],
  }),
  helper(
    164,
    'bpf_for_each_map_elem',
    ['ARG_CONST_MAP_PTR', 'ARG_PTR_TO_FUNC', 'ARG_PTR_TO_STACK_OR_NULL', 'ARG_ANYTHING'],
    'RET_INTEGER',
    { maps: KEYED },
  ),
  helper(
    195,
    'bpf_map_lookup_percpu_elem',
    ['ARG_CONST_MAP_PTR', 'ARG_PTR_TO_MAP_KEY', 'ARG_ANYTHING'],
    'RET_PTR_TO_MAP_VALUE_OR_NULL',
    { maps: PER_CPU },
  ),
];

const READ = ['ARG_PTR_TO_UNINIT_MEM', 'ARG_CONST_SIZE_OR_ZERO', 'ARG_ANYTHING'] as const;

/** probe_read reads user memory below TASK_SIZE and kernel memory above; there is no user memory here, so that it faults. */
const MEMORY: readonly HelperPrototype[] = [
  helper(4, 'bpf_probe_read', READ, 'RET_INTEGER', { gplOnly: true, symbol: 'bpf_probe_read_compat' }),
  helper(45, 'bpf_probe_read_str', READ, 'RET_INTEGER', { gplOnly: true, symbol: 'bpf_probe_read_compat_str' }),
  helper(112, 'bpf_probe_read_user', READ, 'RET_INTEGER', { gplOnly: true }),
  helper(113, 'bpf_probe_read_kernel', READ, 'RET_INTEGER', { gplOnly: true }),
  helper(114, 'bpf_probe_read_user_str', READ, 'RET_INTEGER', { gplOnly: true }),
  helper(115, 'bpf_probe_read_kernel_str', READ, 'RET_INTEGER', { gplOnly: true }),
];

const TASK_AND_TIME: readonly HelperPrototype[] = [
  helper(5, 'bpf_ktime_get_ns', [], 'RET_INTEGER'),
  helper(7, 'bpf_get_prandom_u32', [], 'RET_INTEGER', { symbol: 'bpf_user_rnd_u32' }),
  helper(8, 'bpf_get_smp_processor_id', [], 'RET_INTEGER'),
  helper(14, 'bpf_get_current_pid_tgid', [], 'RET_INTEGER'),
  helper(15, 'bpf_get_current_uid_gid', [], 'RET_INTEGER'),
  helper(16, 'bpf_get_current_comm', ['ARG_PTR_TO_UNINIT_MEM', 'ARG_CONST_SIZE'], 'RET_INTEGER'),
  helper(35, 'bpf_get_current_task', [], 'RET_INTEGER', { gplOnly: true }),
  helper(42, 'bpf_get_numa_node_id', [], 'RET_INTEGER'),
  helper(118, 'bpf_jiffies64', [], 'RET_INTEGER'),
  helper(125, 'bpf_ktime_get_boot_ns', [], 'RET_INTEGER'),
  helper(160, 'bpf_ktime_get_coarse_ns', [], 'RET_INTEGER'),
  helper(153, 'bpf_per_cpu_ptr', ['ARG_PTR_TO_PERCPU_BTF_ID', 'ARG_ANYTHING'], 'RET_PTR_TO_MEM_OR_BTF_ID_OR_NULL'),
  helper(154, 'bpf_this_cpu_ptr', ['ARG_PTR_TO_PERCPU_BTF_ID'], 'RET_PTR_TO_MEM_OR_BTF_ID'),
  helper(158, 'bpf_get_current_task_btf', [], 'RET_PTR_TO_BTF_ID_TRUSTED', { gplOnly: true }),
];

const COPY_TO = ['ARG_PTR_TO_UNINIT_MEM', 'ARG_CONST_SIZE_OR_ZERO', 'ARG_ANYTHING'] as const;
const OF_TASK = { struct: 'task_struct' } as const;

/** What of a task, its memory and its files. The machine's tasks are kernel threads: no signal, no user memory, no mappings. */
const OF_TASKS: readonly HelperPrototype[] = [
  helper(36, 'bpf_probe_write_user', ['ARG_ANYTHING', 'ARG_PTR_TO_MEM', 'ARG_CONST_SIZE'], 'RET_INTEGER', {
    gplOnly: true,
  }),
  helper(80, 'bpf_get_current_cgroup_id', [], 'RET_INTEGER'),
  helper(109, 'bpf_send_signal', ['ARG_ANYTHING'], 'RET_INTEGER'),
  helper(117, 'bpf_send_signal_thread', ['ARG_ANYTHING'], 'RET_INTEGER'),
  helper(123, 'bpf_get_current_ancestor_cgroup_id', ['ARG_ANYTHING'], 'RET_INTEGER'),
  helper(
    141,
    'bpf_get_task_stack',
    ['ARG_PTR_TO_BTF_ID', 'ARG_PTR_TO_UNINIT_MEM', 'ARG_CONST_SIZE_OR_ZERO', 'ARG_ANYTHING'],
    'RET_INTEGER',
    OF_TASK,
  ),
  // 6.12 forgets to say that it writes to R2; what says so is its fix in later kernels.
  helper(147, 'bpf_d_path', ['ARG_PTR_TO_BTF_ID', 'ARG_PTR_TO_UNINIT_MEM', 'ARG_CONST_SIZE_OR_ZERO'], 'RET_INTEGER', {
    struct: 'path',
    needsPath: true,
    programTypes: [...TRAMPOLINE, 'tp_btf'],
  }),
  helper(148, 'bpf_copy_from_user', COPY_TO, 'RET_INTEGER', { mightSleep: true }),
  helper(175, 'bpf_task_pt_regs', ['ARG_PTR_TO_BTF_ID'], 'RET_PTR_TO_PT_REGS', { gplOnly: true, ...OF_TASK }),
  // Its flags are in R3, which nobody checks.
  helper(176, 'bpf_get_branch_snapshot', ['ARG_PTR_TO_UNINIT_MEM', 'ARG_CONST_SIZE_OR_ZERO'], 'RET_INTEGER', {
    gplOnly: true,
  }),
  helper(
    180,
    'bpf_find_vma',
    ['ARG_PTR_TO_BTF_ID', 'ARG_ANYTHING', 'ARG_PTR_TO_FUNC', 'ARG_PTR_TO_STACK_OR_NULL', 'ARG_ANYTHING'],
    'RET_INTEGER',
    OF_TASK,
  ),
  helper(191, 'bpf_copy_from_user_task', [...COPY_TO, 'ARG_PTR_TO_BTF_ID', 'ARG_ANYTHING'], 'RET_INTEGER', {
    gplOnly: true,
    mightSleep: true,
    ...OF_TASK,
  }),
  helper(208, 'bpf_ktime_get_tai_ns', [], 'RET_INTEGER'),
];

/** What the verifier inlines for programs of a trampoline stands under the name of the function that it replaces. */
const CONTEXT: readonly HelperPrototype[] = [
  helper(173, 'bpf_get_func_ip', ['ARG_PTR_TO_CTX'], 'RET_INTEGER', {
    programTypes: [...TRAMPOLINE, 'kprobe'],
    symbol: 'bpf_get_func_ip_tracing',
    symbolOf: { kprobe: 'bpf_get_func_ip_kprobe' },
  }),
  helper(174, 'bpf_get_attach_cookie', ['ARG_PTR_TO_CTX'], 'RET_INTEGER', {
    symbol: 'bpf_get_attach_cookie_tracing',
    symbolOf: {
      lsm: 'bpf_get_attach_cookie',
      kprobe: 'bpf_get_attach_cookie_trace',
      tracepoint: 'bpf_get_attach_cookie_trace',
    },
  }),
  helper(183, 'bpf_get_func_arg', ['ARG_PTR_TO_CTX', 'ARG_ANYTHING', 'ARG_PTR_TO_LONG'], 'RET_INTEGER', {
    programTypes: TRAMPOLINE,
    symbol: 'get_func_arg',
  }),
  helper(184, 'bpf_get_func_ret', ['ARG_PTR_TO_CTX', 'ARG_PTR_TO_LONG'], 'RET_INTEGER', {
    programTypes: TRAMPOLINE,
    symbol: 'get_func_ret',
  }),
  helper(185, 'bpf_get_func_arg_cnt', ['ARG_PTR_TO_CTX'], 'RET_INTEGER', {
    programTypes: TRAMPOLINE,
    symbol: 'get_func_arg_cnt',
  }),
];

const OUTPUT: readonly HelperPrototype[] = [
  // Arguments of the format follow in R3 to R5; nobody checks them.
  helper(6, 'bpf_trace_printk', ['ARG_PTR_TO_MEM', 'ARG_CONST_SIZE'], 'RET_INTEGER', { gplOnly: true }),
  helper(
    25,
    'bpf_perf_event_output',
    ['ARG_PTR_TO_CTX', 'ARG_CONST_MAP_PTR', 'ARG_ANYTHING', 'ARG_PTR_TO_MEM', 'ARG_CONST_SIZE_OR_ZERO'],
    'RET_INTEGER',
    { gplOnly: true, maps: ['perf_event_array'], symbolOf: bySuffix('bpf_perf_event_output') },
  ),
  helper(27, 'bpf_get_stackid', ['ARG_PTR_TO_CTX', 'ARG_CONST_MAP_PTR', 'ARG_ANYTHING'], 'RET_INTEGER', {
    gplOnly: true,
    maps: ['stack_trace'],
    symbolOf: bySuffix('bpf_get_stackid'),
  }),
  helper(
    67,
    'bpf_get_stack',
    ['ARG_PTR_TO_CTX', 'ARG_PTR_TO_UNINIT_MEM', 'ARG_CONST_SIZE_OR_ZERO', 'ARG_ANYTHING'],
    'RET_INTEGER',
    { gplOnly: true, symbolOf: bySuffix('bpf_get_stack') },
  ),
  helper(
    130,
    'bpf_ringbuf_output',
    ['ARG_CONST_MAP_PTR', 'ARG_PTR_TO_MEM', 'ARG_CONST_SIZE_OR_ZERO', 'ARG_ANYTHING'],
    'RET_INTEGER',
    { maps: RINGBUF },
  ),
  helper(
    131,
    'bpf_ringbuf_reserve',
    ['ARG_CONST_MAP_PTR', 'ARG_CONST_ALLOC_SIZE_OR_ZERO', 'ARG_ANYTHING'],
    'RET_PTR_TO_RINGBUF_MEM_OR_NULL',
    { maps: RINGBUF },
  ),
  helper(132, 'bpf_ringbuf_submit', ['ARG_PTR_TO_RINGBUF_MEM', 'ARG_ANYTHING'], 'RET_VOID'),
  helper(133, 'bpf_ringbuf_discard', ['ARG_PTR_TO_RINGBUF_MEM', 'ARG_ANYTHING'], 'RET_VOID'),
  helper(134, 'bpf_ringbuf_query', ['ARG_CONST_MAP_PTR', 'ARG_ANYTHING'], 'RET_INTEGER', { maps: RINGBUF }),
  helper(
    165,
    'bpf_snprintf',
    [
      'ARG_PTR_TO_UNINIT_MEM_OR_NULL',
      'ARG_CONST_SIZE_OR_ZERO',
      'ARG_PTR_TO_CONST_STR',
      'ARG_PTR_TO_MEM_OR_NULL',
      'ARG_CONST_SIZE_OR_ZERO',
    ],
    'RET_INTEGER',
    { gplOnly: true },
  ),
  helper(
    177,
    'bpf_trace_vprintk',
    ['ARG_PTR_TO_MEM', 'ARG_CONST_SIZE', 'ARG_PTR_TO_MEM_OR_NULL', 'ARG_CONST_SIZE_OR_ZERO'],
    'RET_INTEGER',
    { gplOnly: true },
  ),
];

const STRTOX = ['ARG_PTR_TO_MEM', 'ARG_CONST_SIZE', 'ARG_ANYTHING', 'ARG_PTR_TO_LONG'] as const;

const CONTROL: readonly HelperPrototype[] = [
  helper(105, 'bpf_strtol', STRTOX, 'RET_INTEGER'),
  helper(106, 'bpf_strtoul', STRTOX, 'RET_INTEGER'),
  helper(181, 'bpf_loop', ['ARG_SCALAR', 'ARG_PTR_TO_FUNC', 'ARG_PTR_TO_STACK_OR_NULL', 'ARG_ANYTHING'], 'RET_INTEGER'),
  helper(182, 'bpf_strncmp', ['ARG_PTR_TO_MEM', 'ARG_CONST_SIZE', 'ARG_PTR_TO_CONST_STR'], 'RET_INTEGER'),
];

/** By number. */
export const HELPER_PROTOTYPES: ReadonlyMap<number, HelperPrototype> = new Map(
  [...MAPS, ...MEMORY, ...TASK_AND_TIME, ...OF_TASKS, ...CONTEXT, ...OUTPUT, ...CONTROL].map((each) => [each.id, each]),
);
