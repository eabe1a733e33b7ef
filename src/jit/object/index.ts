export { choosePrograms, type ProgramChoice } from './choose-programs.ts';
export type { LinkedFunction, SourceLine } from './debug-info.ts';
export { countingMaps } from './link.ts';
export {
  type BpfObject,
  type LinkedProgram,
  type LoadObjectRequest,
  loadBpfObject,
  type ObjectProgram,
} from './load-object.ts';
export type { ObjectKernel } from './object-kernel.ts';
export { isOfProbes, isPlacedLater, type SectionMeaning, type SectionType } from './section-names.ts';
