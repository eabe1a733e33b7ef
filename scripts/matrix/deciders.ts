/** Which function of Linux decides what a cell of the matrix says. */
import { factAt, KERNEL_FACTS, type KernelFact, latestOf, RULES, type RulesKernel } from '../../src/registry/index.ts';
import type { MatrixOwner } from './owners.ts';
import type { SetResult } from './run.ts';

const ENTRY: Readonly<Record<MatrixOwner['kind'] & string, string>> = {
  kprobe: '`register_aggr_kprobe`, `arm_kprobe_ftrace`, kernel/kprobes.c',
  kretprobe: '`register_kretprobe`, kernel/kprobes.c',
  kprobe_multi: '`bpf_kprobe_multi_link_attach`, kernel/trace/bpf_trace.c',
  kretprobe_multi: '`bpf_kprobe_multi_link_attach`, kernel/trace/bpf_trace.c',
  fprobe: '`register_fprobe`, kernel/trace/fprobe.c',
  ftrace: '`__ftrace_hash_rec_update`, kernel/trace/ftrace.c',
  ftrace_direct: '`register_ftrace_direct`, kernel/trace/ftrace.c',
  fentry: '`__bpf_trampoline_link_prog`, kernel/bpf/trampoline.c',
  fexit: '`__bpf_trampoline_link_prog`, kernel/bpf/trampoline.c',
  fmod_ret: '`__bpf_trampoline_link_prog`, kernel/bpf/trampoline.c',
  lsm: '`__bpf_trampoline_link_prog`, kernel/bpf/trampoline.c',
  freplace: '`__bpf_trampoline_link_prog`, kernel/bpf/trampoline.c',
  livepatch: '`klp_patch_func`, kernel/livepatch/patch.c',
  jump_label: '`__jump_label_patch`, arch/x86/kernel/jump_label.c',
  static_call: '`__static_call_update`, kernel/static_call_inline.c',
  tracepoint: '`tracepoint_add_func`, kernel/tracepoint.c',
  kgdb: '`kgdb_validate_break_address`, kernel/debug/debug_core.c',
};

const SHARED = '`__ftrace_hash_update_ipmodify`, `prepare_direct_functions_for_ipmodify`, kernel/trace/ftrace.c';
const BODY = '`check_kprobe_address_safe`, kernel/kprobes.c; `can_probe`, arch/x86/kernel/kprobes/core.c';

/** The function that decided: of the rule for a refusal, of the owner's kind for a grant. */
export function deciderOf({ owners, last }: SetResult): string {
  const rule = last.rule === undefined ? undefined : RULES.get(last.rule);
  if (rule !== undefined) return rule.linux;
  const owner = owners.at(-1) as MatrixOwner;
  if (last.verdict === 'shared') return SHARED;
  return owner.at === 'body' && owner.kind === 'kprobe' ? BODY : ENTRY[owner.kind];
}

type AnyFact = KernelFact<string | number | boolean>;

const FACTS = new Map<string, AnyFact>(KERNEL_FACTS.map((fact) => [fact.name, fact]));

/** The facts among these whose value differs between the versions. */
export function tellingFacts(names: readonly string[], kernels: readonly RulesKernel[]): readonly AnyFact[] {
  return names.flatMap((name) => {
    const fact = FACTS.get(name);
    if (fact === undefined) return [];
    const values = new Set(kernels.map((kernel) => factAt(fact, latestOf(kernel)).is));
    return values.size > 1 ? [fact] : [];
  });
}
