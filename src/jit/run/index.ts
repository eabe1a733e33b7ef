export * from './run-jited.ts';
export * from './run-place.ts';
export * from './run-world.ts';
