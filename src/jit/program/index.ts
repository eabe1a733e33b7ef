export * from './prepare.ts';
