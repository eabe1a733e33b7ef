import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { err, type KernelAddress, ok, type Result } from '../../base/index.ts';
import { readElf } from '../elf.ts';
import type { KernelImage } from '../kernel-image.ts';
import { unsupported } from '../malformed.ts';
import { unwrapKernel } from '../unwrap.ts';

/**
 * The data of a kernel as its file has it: what executing needs and deciding does not. Read again from the kernel's file when the first call asks
 * for it, so that loading a kernel and keeping it packed cost nothing of it.
 */
export interface ImageData {
  readonly sections: readonly DataSection[];
}

export interface DataSection {
  readonly name: string;
  /** 0 for .data..percpu, which is a template. */
  readonly address: KernelAddress;
  readonly size: number;
  /** What the file says. `.rodata` is writable there and is write-protected once the kernel has booted (mark_rodata_ro). */
  readonly writable: boolean;
  /** In shared memory. Shorter than `size` where the file has nothing: the rest is zeros. */
  readonly bytes: Uint8Array;
}

/** Tables of the build that no code but their own reader looks at: types, and the unwinder's. They are as large as all other data together. */
const LEFT_OUT = /^\.(?:BTF|BTF_ids|orc_\w+|notes|init\.scratch)$/;

function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

export interface ImageFile {
  readonly path: string;
  /** Of the file that the image was loaded from. */
  readonly sha256: string;
}

/** What {@link readImageData} needs of the image; plain data, so that a thread can be asked. */
export interface DataRequest {
  readonly file: ImageFile;
  /** [start, end) of memory that the kernel gives back when it has booted (free_initmem): nobody may use it any more; undefined when the kernel does not say. */
  readonly freed: readonly [KernelAddress, KernelAddress] | undefined;
}

export function dataRequest(image: KernelImage, path: string): DataRequest {
  const start = image.symbols.byName('__init_begin')[0]?.address;
  const end = image.symbols.byName('__init_end')[0]?.address;
  return {
    file: { path, sha256: image.sha256 },
    freed: start === undefined || end === undefined ? undefined : [start, end],
  };
}

/**
 * Reads the data sections of a kernel's file.
 *
 * Errors: `image.unreadable` (EIO: the file is gone), `call.image.changed` (EIO: it is another one now), and those of reading an image.
 */
export async function readImageData({ file, freed }: DataRequest): Promise<Result<ImageData>> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file.path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    return err({ errno: 'EIO', rule: 'image.unreadable', detail: `${file.path} cannot be read again: ${code}.` });
  }
  if (createHash('sha256').update(bytes).digest('hex') !== file.sha256)
    return err({
      errno: 'EIO',
      rule: 'call.image.changed',
      detail: `${file.path} is not the file any more that was loaded.`,
    });
  const unwrapped = await unwrapKernel(bytes);
  if (!unwrapped.ok) return unwrapped;
  const elf = readElf(unwrapped.value.elf);
  if (!elf.ok) return elf;
  const isFreed = (address: bigint): boolean => freed !== undefined && address >= freed[0] && address < freed[1];
  const sections = elf.value
    .filter((s) => s.isAlloc && s.size > 0 && !s.executable && !LEFT_OUT.test(s.name) && !isFreed(s.address))
    .map((s) => ({ name: s.name, address: s.address, size: s.size, writable: s.writable, bytes: shared(s.bytes) }));
  return sections.length > 0 ? ok({ sections }) : err(unsupported('a kernel without data'));
}
