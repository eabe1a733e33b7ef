export * from './builtin/counting-handler.ts';
export * from './builtin/counting-program.ts';
export * from './trampoline/bpf-trampoline.ts';
export * from './trampoline/ftrace-trampoline.ts';
export { MAX_BPF_FUNC_ARGS } from './trampoline/trampoline-frame.ts';
export * from './trampoline/trampoline-request.ts';
export { BPF_INSN_SAFETY, type GeneratedCodeCpu } from './x86/generated-code.ts';
