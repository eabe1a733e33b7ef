export { type Btf, kernelBtf, readBtf } from './btf/btf.ts';
export { BTF_KIND } from './btf/btf-format.ts';
export { perCpuVariables, typeNamed } from './btf/btf-named.ts';
export { type BtfTypes, sizeOf as btfSizeOf, strip as stripBtf } from './btf/btf-types.ts';
export { defaultCacheFolder } from './cache.ts';
export {
  type DataRequest,
  type DataSection,
  dataRequest,
  type ImageData,
  readImageData,
} from './data/image-data.ts';
export { type ElfSection, readElf } from './elf.ts';
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
