export { HELPER_BODIES } from './bodies.ts';
export * from './helper-context.ts';
export * from './helper-names.ts';
export * from './helper-stubs.ts';
export * from './prototype.ts';
export * from './prototypes.ts';
