export * from './run-jited.ts';
export * from './run-place.ts';
