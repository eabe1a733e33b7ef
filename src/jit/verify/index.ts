export * from './request.ts';
export * from './verify.ts';
