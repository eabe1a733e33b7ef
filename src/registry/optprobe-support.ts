import type { KernelImage, OptprobeTemplate } from '../image/index.ts';

/** What the kernel and its machine bring for jump-optimized kprobes. */
export interface OptprobeSupport {
  readonly template: OptprobeTemplate;
  /** Offset of optimized_callback. */
  readonly callback: number;
  /** The CPU has SMAP (and nosmap did not take its flag away): the detour clears AC. */
  readonly hasSmap: boolean;
}

const hasCpuFlag = ({ profile }: KernelImage, flag: string): boolean =>
  profile.cpu.some((line) => /^flags\s*:/.test(line) && line.split(/\s+/).includes(flag));

/** Undefined for a kernel without CONFIG_OPTPROBES. */
export function optprobeSupport(image: KernelImage): OptprobeSupport | undefined {
  const callback = image.symbols.offsetOf('optimized_callback');
  const template = image.optprobeTemplate;
  if (callback === undefined || template === undefined) return undefined;
  return { template, callback, hasSmap: hasCpuFlag(image, 'smap') };
}
