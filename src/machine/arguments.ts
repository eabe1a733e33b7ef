import { invariant } from '../base/index.ts';
import type { CallArgument } from './call-types.ts';
import type { Guest } from './guest.ts';
import { HEAP_SIZE, HEAP_START, PT_REGS_ARGUMENTS } from './layout.ts';

/** Between two buffers, so that a small overrun meets nobody. */
const GAP = 64n;
const ALIGNMENT = 64n;

export interface PlacedBuffer {
  readonly arg: number;
  readonly address: bigint;
  readonly length: number;
}

/** Room that arguments may take together. */
export const ARGUMENT_BYTES_MAX = HEAP_SIZE / 2;

/** The first six words in registers, the others on the stack, the seventh lowest (System V ABI, 3.2.3). */
export function placeArguments(guest: Guest, words: readonly bigint[]): void {
  for (const word of words.slice(PT_REGS_ARGUMENTS.length).reverse()) guest.push(word);
  for (const [i, name] of PT_REGS_ARGUMENTS.entries()) {
    const word = words[i];
    if (word !== undefined) guest.set(name, word);
  }
}

/** Puts buffers on the heap, words into registers and on the stack, and the return address on top: the stack is aligned as at any call. */
export function putArguments(
  guest: Guest,
  args: readonly CallArgument[],
  returnTo: bigint,
  heapStart = HEAP_START,
): readonly PlacedBuffer[] {
  let heap = heapStart;
  const placed: PlacedBuffer[] = [];
  const words = args.map((argument, arg) => {
    if (argument.kind === 'word') return argument.value;
    const address = heap;
    const { bytes } = argument;
    invariant(guest.space.poke(address, bytes), 'the edge has limited what arguments take');
    placed.push({ arg, address, length: bytes.length });
    heap += ((BigInt(bytes.length) + GAP + ALIGNMENT - 1n) / ALIGNMENT) * ALIGNMENT;
    return address;
  });
  const onStack = Math.max(0, words.length - PT_REGS_ARGUMENTS.length);
  // %rsp is a multiple of 16 in front of the return address.
  guest.set('rsp', guest.get('rsp') - (onStack % 2 === 1 ? 24n : 16n));
  placeArguments(guest, words);
  guest.push(returnTo);
  return placed;
}
