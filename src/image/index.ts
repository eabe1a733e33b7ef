export { defaultCacheFolder } from './cache.ts';
export * from './kernel-image.ts';
export { type LoadOptions, loadKernelImage } from './load-kernel-image.ts';
export { BUILT_IN_PROFILES, DEFAULT_PROFILE, parseProfile } from './profiles/parse-profile.ts';
