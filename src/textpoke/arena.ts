import { type KernelAddress, kernelAddress } from '../base/index.ts';

/** Where generated code lives: MODULES_VADDR to MODULES_END (arch/x86/include/asm/pgtable_64_types.h, 6.12). The end is exclusive. */
export const ARENA_START: KernelAddress = kernelAddress(0xffff_ffff_c000_0000n);
export const ARENA_END: KernelAddress = kernelAddress(0xffff_ffff_ff00_0000n);
