export * from './compile.ts';
export * from './compile-request.ts';
export * from './stack-depth.ts';
