export * from './map-spec.ts';
