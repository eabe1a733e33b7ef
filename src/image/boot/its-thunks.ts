import type { BootContext } from './context.ts';

const PAGE_SIZE = 4096;
/** Pages come from vmalloc, which leaves a guard page behind each. */
const PAGE_STRIDE = 2 * PAGE_SIZE;
/** MODULES_VADDR: `__START_KERNEL_map` + KERNEL_IMAGE_SIZE (1 GiB with CONFIG_RANDOMIZE_BASE). */
const MODULES_VADDR = 0xffff_ffff_c000_0000n;
const FIRST_THUNK = 32;

export interface ItsThunks {
  /** Offset from `_text` of a new `jmp *%reg` in the upper half of a cache line (its_allocate_thunk). */
  allocate(register: number): number;
}

/**
 * Thunks of Indirect Target Selection stand in pages that the kernel allocates from the modules' area while it patches. Nothing
 * takes from there earlier, so that without KASLR the first page is the area's first.
 */
export function itsThunks(boot: BootContext): ItsThunks {
  const first = Number(MODULES_VADDR - boot.kernel.base);
  const pageAt = boot.thunkPage ?? ((index: number) => first + index * PAGE_STRIDE);
  let current = 0;
  let page = -1;
  let at = PAGE_SIZE;
  return {
    allocate: (register) => {
      const size = 3 + (register >> 3);
      if (page < 0 || at + size - 1 >= PAGE_SIZE) {
        page += 1;
        current = pageAt(page);
        at = FIRST_THUNK;
      }
      if ((at + size - 1) % 64 < 32) at = ((at - 1) | 0x3f) + 33;
      const thunk = current + at;
      at += size;
      boot.report.count('ITS thunk');
      return thunk;
    },
  };
}
