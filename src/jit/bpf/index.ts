export * from './assemble.ts';
export * from './code.ts';
export * from './decode.ts';
export type { DecodeOptions } from './decode-closely.ts';
export * from './disassemble.ts';
export * from './insn.ts';
export * from './isa.ts';
export * from './layout.ts';
export * from './opcodes.ts';
