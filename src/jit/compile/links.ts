import { fitsS32 } from '../../insn/index.ts';

/** What a link's 32 bits are. */
export type LinkKind =
  /** Distance from the end of the field to a place counted from `_text`. */
  | 'place'
  /** The same, of an instruction that has one more byte behind the field. */
  | 'place-1'
  /** Distance to the first instruction of a function of the program. */
  | 'slot'
  /** Address of a function of the program, sign-extended. */
  | 'slot-address';

/** Fields of 32 bits that are only known once everything has its place. */
export class Links {
  readonly #kinds: LinkKind[] = [];
  readonly #at: number[] = [];
  readonly #jumpsBefore: number[] = [];
  readonly #targets: number[] = [];

  /** @param at position of the field, counted without jumps @param jumpsBefore jumps that stand before it */
  add(kind: LinkKind, at: number, jumpsBefore: number, target: number): void {
    this.#kinds.push(kind);
    this.#at.push(at);
    this.#jumpsBefore.push(jumpsBefore);
    this.#targets.push(target);
  }

  /** Writes every field; answers the first place that is out of reach. */
  resolve(image: {
    readonly bytes: Uint8Array;
    readonly at: number;
    /** Low half of the address of `_text`. */
    readonly base: number;
    readonly jumpBytesBefore: Int32Array;
    readonly functionStart: (slot: number) => number;
  }): number | undefined {
    const view = new DataView(image.bytes.buffer, image.bytes.byteOffset, image.bytes.byteLength);
    for (const [index, kind] of this.#kinds.entries()) {
      const field = (this.#at[index] as number) + (image.jumpBytesBefore[this.#jumpsBefore[index] as number] as number);
      const target = this.#targets[index] as number;
      const end = image.at + field + (kind === 'place-1' ? 5 : 4);
      if (kind === 'slot-address')
        view.setInt32(field, (image.base + image.at + image.functionStart(target)) | 0, true);
      else {
        const place = kind === 'slot' ? image.at + image.functionStart(target) : target;
        // A per-CPU variable lies near address 0: its distance counts modulo 2^32.
        if (kind !== 'place-1' && !fitsS32(place - end)) return place;
        view.setInt32(field, (place - end) | 0, true);
      }
    }
    return undefined;
  }
}
