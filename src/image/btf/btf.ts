/** Types for whoever needs more of a .BTF than prototypes: BPF objects, whose types are compared with the kernel's. */
import type { Result } from '../../base/index.ts';
import { byteView } from '../byte-view.ts';
import type { KernelImage } from '../kernel-image.ts';
import { catchingMalformed } from '../malformed.ts';
import { readBtfLayout, readTypeStarts } from './btf-format.ts';
import { btfBaseOf } from './btf-functions.ts';
import { type BtfTypes, btfTypes } from './btf-types.ts';

/** A .BTF that stands alone. */
export interface Btf {
  readonly types: BtfTypes;
  /** Ids, void included. */
  readonly count: number;
  /** The section, for who hands it on; undefined for what was read just now. */
  readonly bytes?: Uint8Array;
}

/** Reads a .BTF. Faults: EINVAL `image.malformed`, with the place in the section. */
export function readBtf(bytes: Uint8Array): Result<Btf> {
  return catchingMalformed(() => {
    const view = byteView(bytes, '.BTF');
    const layout = readBtfLayout(view);
    const starts = readTypeStarts(view, layout);
    return { types: btfTypes(view, layout, starts), count: starts.length };
  });
}

/** The kernel's own types, without those of modules; undefined when the image has none. The same value for the same image. */
export function kernelBtf(image: Pick<KernelImage, 'btf'>): Btf | undefined {
  return image.btf === undefined ? undefined : btfBaseOf(image.btf);
}
