/**
 * Helpers of tracing programs by number (enum bpf_func_id), and the kernel function that is each (6.12). What a compiled program calls is the
 * function; the verifier of Linux inlines some of them.
 */
export const HELPER_FUNCTIONS: ReadonlyMap<number, { readonly name: string; readonly symbol: string }> = new Map([
  [5, { name: 'ktime_get_ns', symbol: 'bpf_ktime_get_ns' }],
  [6, { name: 'trace_printk', symbol: 'bpf_trace_printk' }],
  [7, { name: 'get_prandom_u32', symbol: 'bpf_user_rnd_u32' }],
  [8, { name: 'get_smp_processor_id', symbol: 'bpf_get_smp_processor_id' }],
  [14, { name: 'get_current_pid_tgid', symbol: 'bpf_get_current_pid_tgid' }],
  [15, { name: 'get_current_uid_gid', symbol: 'bpf_get_current_uid_gid' }],
  [16, { name: 'get_current_comm', symbol: 'bpf_get_current_comm' }],
  [35, { name: 'get_current_task', symbol: 'bpf_get_current_task' }],
  [113, { name: 'probe_read_kernel', symbol: 'bpf_probe_read_kernel' }],
  [125, { name: 'ktime_get_boot_ns', symbol: 'bpf_ktime_get_boot_ns' }],
  [173, { name: 'get_func_ip', symbol: 'bpf_get_func_ip_tracing' }],
  [174, { name: 'get_attach_cookie', symbol: 'bpf_get_attach_cookie_tracing' }],
  [183, { name: 'get_func_arg', symbol: 'get_func_arg' }],
  [184, { name: 'get_func_ret', symbol: 'get_func_ret' }],
  [185, { name: 'get_func_arg_cnt', symbol: 'get_func_arg_cnt' }],
]);

/** BPF_FUNC_get_func_ip: the trampoline of a program that calls it keeps the function's address. */
export const GET_FUNC_IP = 173;
