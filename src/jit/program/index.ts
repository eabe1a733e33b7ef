export * from './for-function.ts';
export * from './helper-symbols.ts';
export * from './prepare.ts';
