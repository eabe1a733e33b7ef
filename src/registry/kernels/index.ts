import { BPF_FACTS } from './bpf-facts.ts';
import type { KernelFact } from './fact.ts';
import { FTRACE_FACTS } from './ftrace-facts.ts';
import { KPROBE_FACTS } from './kprobe-facts.ts';

/** All that versions decide differently: the one list behind `/v1/kernels`, the rules' pages and the tests. */
export const KERNEL_FACTS: readonly KernelFact<string | number | boolean>[] = [
  ...FTRACE_FACTS,
  ...BPF_FACTS,
  ...KPROBE_FACTS,
];

/** The facts that a rule rests on. */
export const factsOfRule = (rule: string): readonly KernelFact<string | number | boolean>[] =>
  KERNEL_FACTS.filter(({ rules }) => rules.includes(rule));
