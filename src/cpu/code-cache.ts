import { mnemonicOf } from '../insn/index.ts';
import type { AddressSpace } from './address-space.ts';
import { addressBehind, buildOp, instructionAt } from './decode.ts';
import { FaultSignal, invalidOpcode } from './fault.ts';
import { FETCH_MAX } from './instruction-fetch.ts';
import type { Op } from './operand.ts';
import { wide } from './wide.ts';

const BLOCK_OPS_MAX = 32;
const CACHE_BITS = 14;
const CACHE_MASK = (1 << CACHE_BITS) - 1;

/** Instructions that follow one another up to the first that may go elsewhere. */
export interface Block {
  readonly high: number;
  readonly low: number;
  readonly ops: readonly Op[];
  /** Low words of the addresses of the instructions, and of what is behind the last. */
  readonly starts: Int32Array;
  readonly bytes: Uint8Array;
  /** The last op sets %rip itself. */
  readonly isEnded: boolean;
  /** Where the block was known to be right, see AddressSpace.codeGeneration. */
  generation: number;
}

interface SingleOp {
  readonly high: number;
  readonly low: number;
  readonly bytes: Uint8Array;
  readonly decoded: DecodedOp;
}

export interface DecodedOp {
  /** False when the bytes are no implemented instruction, or not all of one; the op then throws why. */
  readonly isComplete: boolean;
  readonly op: Op;
  readonly length: number;
  readonly ends: boolean;
  /** It must be the first of its block, because it looks at what is brought up to date between blocks. */
  readonly isAlone: boolean;
}

/**
 * What the bytes at an address do. `bytes` are all that could be fetched: when they do not hold the whole instruction, it is the fault of
 * fetching the byte behind them, unless there were fifteen.
 */
export function decodeOp(bytes: Uint8Array, high: number, low: number, space: AddressSpace): DecodedOp {
  const instruction = instructionAt(bytes, high, low);
  if (instruction !== undefined) {
    const { form, insn } = instruction;
    const isAlone = form.ends === 'alone';
    return { isComplete: true, op: buildOp(instruction), length: insn.length, ends: form.ends !== undefined, isAlone };
  }
  const signal = undecodable(bytes, high, low, space);
  const op = (): never => {
    throw signal;
  };
  return { isComplete: false, op, length: bytes.length, ends: true, isAlone: false };
}

function undecodable(bytes: Uint8Array, high: number, low: number, space: AddressSpace): FaultSignal {
  const known = mnemonicOf(bytes, wide(high, low));
  if (known.kind === 'cut-off' && bytes.length < FETCH_MAX) {
    const behind = addressBehind(high, low, bytes.length);
    return space.fetchFault(behind.high, behind.low);
  }
  if (known.kind !== 'instruction') return invalidOpcode('no such instruction');
  return new FaultSignal({ name: 'not-implemented', mnemonic: known.mnemonic, bytes: bytes.slice(0, known.length) });
}

/** Decoded blocks of one address space, shared by its CPUs. A block is compared with memory again when code may have changed. */
export class CodeCache {
  readonly #space: AddressSpace;
  readonly #blocks: (Block | undefined)[] = new Array<Block | undefined>(CACHE_MASK + 1).fill(undefined);
  readonly #fetched = new Uint8Array(FETCH_MAX);
  readonly #single: (SingleOp | undefined)[] = new Array<SingleOp | undefined>(CACHE_MASK + 1).fill(undefined);

  constructor(space: AddressSpace) {
    this.#space = space;
  }

  /** The block at an address whose bytes are those of `generation`, the space's current one; throws FaultSignal when nothing can be fetched there. */
  at(high: number, low: number, generation: number): Block {
    const slot = (low ^ (low >>> CACHE_BITS) ^ high) & CACHE_MASK;
    const block = this.#blocks[slot];
    if (block !== undefined && block.low === low && block.high === high) {
      if (block.generation === generation) return block;
      if (this.#isCurrent(block)) {
        block.generation = generation;
        return block;
      }
    }
    const fresh = this.#decode(high, low, generation);
    this.#blocks[slot] = fresh;
    return fresh;
  }

  /** The instruction that the first `available` of `bytes` are at an address, whatever memory holds: for fetch models. */
  single(bytes: Uint8Array, available: number, high: number, low: number): DecodedOp {
    const slot = (low ^ (low >>> CACHE_BITS) ^ ((bytes[0] ?? 0) << 5)) & CACHE_MASK;
    const known = this.#single[slot];
    if (known !== undefined && known.low === low && known.high === high && known.bytes.length <= available) {
      let i = 0;
      while (i < known.bytes.length && known.bytes[i] === bytes[i]) i += 1;
      if (i === known.bytes.length) return known.decoded;
    }
    const decoded = decodeOp(bytes.subarray(0, available), high, low, this.#space);
    // What could not be decoded depends on what is mapped behind it, too.
    if (decoded.isComplete) this.#single[slot] = { high, low, bytes: bytes.slice(0, decoded.length), decoded };
    return decoded;
  }

  #isCurrent(block: Block): boolean {
    const now = new Uint8Array(block.bytes.length);
    return this.#space.fetch(block.high, block.low, now) === now.length && Buffer.compare(now, block.bytes) === 0;
  }

  #decode(high: number, low: number, generation: number): Block {
    const ops: Op[] = [];
    const starts = [low];
    const bytes: number[] = [];
    let isEnded = false;
    for (let at = { high, low }; ops.length < BLOCK_OPS_MAX && !isEnded; ) {
      const available = this.#space.fetch(at.high, at.low, this.#fetched);
      if (available === 0) {
        if (ops.length > 0) break;
        throw this.#space.fetchFault(at.high, at.low);
      }
      const decoded = decodeOp(this.#fetched.subarray(0, available), at.high, at.low, this.#space);
      if (decoded.isAlone && ops.length > 0) break;
      ops.push(decoded.op);
      bytes.push(...this.#fetched.subarray(0, decoded.length));
      at = addressBehind(at.high, at.low, decoded.length);
      starts.push(at.low);
      isEnded = decoded.ends;
      // A block lies within one stretch of 4 GiB, so that low words tell its instructions apart.
      if (at.high !== high) break;
    }
    return { high, low, ops, starts: Int32Array.from(starts), bytes: Uint8Array.from(bytes), isEnded, generation };
  }
}

const CACHES = new WeakMap<AddressSpace, CodeCache>();

/** The one cache of a space. */
export function codeCacheOf(space: AddressSpace): CodeCache {
  const known = CACHES.get(space);
  if (known !== undefined) return known;
  const cache = new CodeCache(space);
  CACHES.set(space, cache);
  return cache;
}
