export * from './address.ts';
export * from './bytes.ts';
export * from './clock.ts';
export * from './errno.ts';
export * from './fault.ts';
export * from './id.ts';
export * from './invariant.ts';
export * from './prng.ts';
