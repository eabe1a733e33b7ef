export { defaultCacheFolder } from './cache.ts';
export {
  type DataRequest,
  type DataSection,
  dataRequest,
  type ImageData,
  readImageData,
} from './data/image-data.ts';
export * from './kernel-image.ts';
export { type LoadOptions, loadKernelImage } from './load-kernel-image.ts';
export { loadModuleImage, moduleName, unpackModule } from './module/load-module.ts';
export {
  type AreaKind,
  isInitArea,
  isTextArea,
  type ModuleArea,
  type ModuleImage,
  type ModuleSection,
} from './module/module-image.ts';
export { inModule, moduleAt, onlyModule, withModules, withoutInit } from './module/with-modules.ts';
export { BUILT_IN_PROFILES, DEFAULT_PROFILE, parseProfile } from './profiles/parse-profile.ts';
