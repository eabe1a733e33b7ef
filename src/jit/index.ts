export * from './bpf-trampoline.ts';
export * from './counting-handler.ts';
export * from './counting-program.ts';
export * from './ftrace-trampoline.ts';
export { BPF_INSN_SAFETY, type GeneratedCodeCpu } from './generated-code.ts';
export { MAX_BPF_FUNC_ARGS } from './trampoline-frame.ts';
export * from './trampoline-request.ts';
