export * from './blind.ts';
export type { Rewritten } from './code-builder.ts';
export * from './direct-arguments.ts';
export * from './fix-up.ts';
export * from './resolve-maps.ts';
