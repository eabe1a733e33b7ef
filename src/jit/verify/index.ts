export { DISABLED_HOOKS } from './ctx-access.ts';
export * from './request.ts';
export { rewriteVerified, type VerifiedCode } from './rewrite-verified.ts';
export * from './verify.ts';
export * from './verify-bytes.ts';
