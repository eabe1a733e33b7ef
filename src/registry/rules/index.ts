import { BPF_RULES } from './bpf.ts';
import { FPROBE_RULES } from './fprobe.ts';
import { FTRACE_RULES } from './ftrace.ts';
import { KPROBE_RULES } from './kprobe.ts';
import { LIVEPATCH_RULES } from './livepatch.ts';
import { REQUEST_RULES } from './request.ts';
import type { Rule } from './rule.ts';

/** Every rule the registry refuses by, by id: the one list behind `/v1/rules`, `docs/rules/` and the tests. */
export const RULES: ReadonlyMap<string, Rule> = new Map(
  [...REQUEST_RULES, ...KPROBE_RULES, ...FTRACE_RULES, ...FPROBE_RULES, ...LIVEPATCH_RULES, ...BPF_RULES].map(
    (rule) => [rule.id, rule],
  ),
);
