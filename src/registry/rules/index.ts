import { BPF_RULES } from './bpf.ts';
import { BPF_PROGRAM_RULES } from './bpf-program.ts';
import { FPROBE_RULES } from './fprobe.ts';
import { FTRACE_RULES } from './ftrace.ts';
import { JUMP_LABEL_RULES } from './jump-label.ts';
import { KERNEL_RULES } from './kernel.ts';
import { KGDB_RULES } from './kgdb.ts';
import { KPROBE_RULES } from './kprobe.ts';
import { LIVEPATCH_RULES } from './livepatch.ts';
import { MAP_RULES } from './map.ts';
import { MODULE_RULES } from './module.ts';
import { OBJECT_RULES } from './object.ts';
import { PROGRAM_RULES } from './program.ts';
import { REQUEST_RULES } from './request.ts';
import type { Rule } from './rule.ts';
import { STATIC_CALL_RULES } from './static-call.ts';
import { SYSCTL_RULES } from './sysctl.ts';
import { TASK_RULES } from './task.ts';
import { TRACEPOINT_RULES } from './tracepoint.ts';
import { LAYOUT_RULES } from './trampoline-layout.ts';
import { VARIANT_RULES } from './variants.ts';

/** Every rule the registry refuses by, by id: the one list behind `/v1/rules`, `docs/rules/` and the tests. */
export const RULES: ReadonlyMap<string, Rule> = new Map(
  [
    ...REQUEST_RULES,
    ...KERNEL_RULES,
    ...KPROBE_RULES,
    ...FTRACE_RULES,
    ...SYSCTL_RULES,
    ...FPROBE_RULES,
    ...LIVEPATCH_RULES,
    ...TASK_RULES,
    ...BPF_RULES,
    ...LAYOUT_RULES,
    ...PROGRAM_RULES,
    ...MAP_RULES,
    ...OBJECT_RULES,
    ...BPF_PROGRAM_RULES,
    ...JUMP_LABEL_RULES,
    ...STATIC_CALL_RULES,
    ...TRACEPOINT_RULES,
    ...KGDB_RULES,
    ...VARIANT_RULES,
    ...MODULE_RULES,
  ].map((rule) => [rule.id, rule]),
);
