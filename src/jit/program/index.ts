export * from './helper-symbols.ts';
export * from './prepare.ts';
