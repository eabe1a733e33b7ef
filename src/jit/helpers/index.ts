export * from './prototype.ts';
export * from './prototypes.ts';
