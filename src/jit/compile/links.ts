import type { KernelAddress } from '../../base/index.ts';
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

const lowHalf = (address: KernelAddress): number => Number(BigInt.asIntN(32, address));

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

  /**
   * Writes every field; answers the first place that is out of reach.
   * @param jumpBytesBefore bytes that jumps take before each jump
   * @param base address of `_text` @param at where the first byte will live, counted from `_text`
   * @param starts first byte of the function that begins at a slot
   */
  resolve(
    bytes: Uint8Array,
    jumpBytesBefore: Int32Array,
    base: KernelAddress,
    at: number,
    starts: ReadonlyMap<number, number>,
  ): number | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let index = 0; index < this.#kinds.length; index++) {
      const kind = this.#kinds[index] as LinkKind;
      const field = (this.#at[index] as number) + (jumpBytesBefore[this.#jumpsBefore[index] as number] as number);
      const target = this.#targets[index] as number;
      const end = at + field + (kind === 'place-1' ? 5 : 4);
      if (kind === 'slot-address') view.setInt32(field, lowHalf(base) + at + (starts.get(target) as number), true);
      else {
        const place = kind === 'slot' ? at + (starts.get(target) as number) : target;
        // A per-CPU variable lies near address 0: its distance counts modulo 2^32.
        if (kind !== 'place-1' && !fitsS32(place - end)) return place;
        view.setInt32(field, (place - end) | 0, true);
      }
    }
    return undefined;
  }
}
