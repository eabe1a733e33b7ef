export * from './compile.ts';
export * from './compile-request.ts';
export { stackDepthOf } from './function-use.ts';
