import type { AddressSpace } from './address-space.ts';
import { type Block, type CodeCache, codeCacheOf } from './code-cache.ts';
import { BUDGET, type CpuExit, RETURNED, SINGLE_STEP } from './exit.ts';
import { FaultSignal } from './fault.ts';
import { canonicalFlags, readFlags, writeFlags } from './flags.ts';
import { FETCH_MAX, type InstructionFetch, type SerialisingEvent } from './instruction-fetch.ts';
import {
  EXECUTED,
  FLAG_REST,
  FS_BASE,
  GS_BASE,
  IF,
  INTERRUPT_SHADOW,
  KERNEL_GS_BASE,
  NMI_BLOCKED,
  REGISTER_NAMES,
  type RegisterName,
  RIP,
  RSP,
  SERIALISED,
  STATE_WORDS,
  TF,
  TSC_AUX,
} from './registers.ts';
import { carryOf, highWord, lowWord, wide } from './wide.ts';

export interface CpuOptions {
  /** 0 to 63: what rdpid and cpuid answer. */
  readonly number: number;
  readonly space: AddressSpace;
  /** Where instruction bytes come from; without it always from memory as it is. */
  readonly fetch?: InstructionFetch;
}

/** Names of the 64-bit registers that are not general ones. */
const SPECIAL = { rip: RIP, gs_base: GS_BASE, fs_base: FS_BASE, kernel_gs_base: KERNEL_GS_BASE } as const;
export type Register = RegisterName | keyof typeof SPECIAL;

const INDEX: ReadonlyMap<string, number> = new Map<string, number>([
  ...REGISTER_NAMES.map((name, n): [string, number] => [name, 2 * n]),
  ...Object.entries(SPECIAL),
]);

/**
 * One simulated x86-64 CPU in kernel mode (CPL 0, 64-bit code). It executes instructions one after the other, each whole: between any two
 * of them its owner may run another CPU, deliver an interrupt, or change text. Its state is {@link words} and nothing else.
 */
export class Cpu {
  readonly number: number;
  readonly space: AddressSpace;
  /** All state, see registers.ts. */
  readonly words = new Int32Array(STATE_WORDS);
  readonly halves = new Uint16Array(this.words.buffer);
  readonly bytes = new Uint8Array(this.words.buffer);
  /** Undefined for the strong model. */
  readonly fetch: InstructionFetch | undefined;
  /** An address at which run and step answer `returned`: the bottom of a call's stack. Nothing executable may be there. */
  sentinel: bigint | undefined;

  /** Scratch of instructions: the address and the high word of the value last computed; the exit that the instruction asks for. */
  addressHigh = 0;
  addressLow = 0;
  valueHigh = 0;
  exit: CpuExit | undefined;
  /** Most elements that a repeated string instruction may do now, and how many it did beyond the first. */
  stringLimit = 1;
  extra = 0;

  readonly #code: CodeCache;
  readonly #fetched = new Uint8Array(FETCH_MAX);

  constructor(options: CpuOptions) {
    this.number = options.number;
    this.space = options.space;
    this.fetch = options.fetch;
    this.#code = codeCacheOf(options.space);
    this.words[TSC_AUX] = options.number;
    writeFlags(this.words, IF);
  }

  get(name: Register): bigint {
    const index = INDEX.get(name) ?? 0;
    return wide(this.words[index + 1] ?? 0, this.words[index] ?? 0);
  }

  set(name: Register, value: bigint): void {
    const index = INDEX.get(name) ?? 0;
    this.words[index] = lowWord(value);
    this.words[index + 1] = highWord(value);
  }

  get flags(): number {
    return readFlags(this.words);
  }

  set flags(value: number) {
    writeFlags(this.words, value);
  }

  /** Instructions executed so far; a repeated string instruction counts once for every element. */
  get executed(): number {
    return (this.words[EXECUTED + 1] ?? 0) * 0x1_0000_0000 + ((this.words[EXECUTED] ?? 0) >>> 0);
  }

  /** Serialising events so far. */
  get serialised(): number {
    return this.words[SERIALISED] ?? 0;
  }

  /** A copy of the state in which equal states are equal words. */
  snapshot(): Int32Array {
    canonicalFlags(this.words);
    return this.words.slice();
  }

  restore(words: Int32Array): void {
    this.words.set(words);
  }

  /** Whether a maskable interrupt would be taken at this boundary: IF, and not right behind `sti`. */
  get canInterrupt(): boolean {
    return ((this.words[FLAG_REST] ?? 0) & IF) !== 0 && this.words[INTERRUPT_SHADOW] === 0;
  }

  /** Tells the fetch model that this CPU serialised; handlers played in TypeScript call it where Linux' handler would. */
  serialise(event: SerialisingEvent): void {
    this.words[SERIALISED] = ((this.words[SERIALISED] ?? 0) + 1) | 0;
    this.fetch?.serialised(this, event);
  }

  /** Pushes eight bytes; false, and nothing changed, when the stack cannot take them. */
  push(value: bigint): boolean {
    const rsp = this.get('rsp') - 8n;
    try {
      this.space.write64(highWord(rsp), lowWord(rsp), highWord(value), lowWord(value));
    } catch (signal) {
      if (signal instanceof FaultSignal) return false;
      throw signal;
    }
    this.set('rsp', rsp);
    return true;
  }

  /** Pops eight bytes; undefined, and nothing changed, when they are not there. */
  pop(): bigint | undefined {
    const { words, space } = this;
    try {
      const low = space.read64(words[RSP + 1] ?? 0, words[RSP] ?? 0);
      const value = wide(space.high, low);
      this.set('rsp', this.get('rsp') + 8n);
      return value;
    } catch (signal) {
      if (signal instanceof FaultSignal) return undefined;
      throw signal;
    }
  }

  /** Executes the next instruction, or the next element of a repeated string instruction. `budget` is the exit of one that ends normally. */
  step(): CpuExit {
    const { words } = this;
    const isTraced = ((words[FLAG_REST] ?? 0) & TF) !== 0;
    const exit = this.fetch === undefined ? this.#runBlocks(1) : this.#stepFetched();
    return exit === BUDGET && isTraced ? SINGLE_STEP : exit;
  }

  /** Executes at most `budget` instructions. */
  run(budget: number): CpuExit {
    if (this.fetch === undefined && ((this.words[FLAG_REST] ?? 0) & TF) === 0) {
      const exit = this.#runBlocks(budget);
      if (exit !== BUDGET || ((this.words[FLAG_REST] ?? 0) & TF) === 0) return exit;
    }
    const end = this.executed + budget;
    while (this.executed < end) {
      const exit = this.step();
      if (exit !== BUDGET) return exit;
    }
    return BUDGET;
  }

  #count(instructions: number): void {
    const { words } = this;
    const before = words[EXECUTED] ?? 0;
    const after = (before + instructions) | 0;
    words[EXECUTED] = after;
    if (after >>> 0 < before >>> 0) words[EXECUTED + 1] = ((words[EXECUTED + 1] ?? 0) + 1) | 0;
  }

  #jump(block: Block, index: number): void {
    this.words[RIP] = block.starts[index] ?? 0;
    // Only what is behind the last instruction can lie beyond the block's 4 GiB.
    if ((this.words[RIP] ?? 0) >>> 0 < block.low >>> 0) this.words[RIP + 1] = (block.high + 1) | 0;
  }

  /** The strong model: block after block. Text does not change while this runs. Stops behind an instruction that set TF. */
  #runBlocks(budget: number): CpuExit {
    const { words } = this;
    const code = this.#code;
    const generation = this.space.codeGeneration;
    let remaining = budget;
    let block: Block | undefined;
    let i = 0;
    try {
      while (remaining > 0) {
        block = undefined;
        block = code.at(words[RIP + 1] ?? 0, words[RIP] ?? 0, generation);
        words[INTERRUPT_SHADOW] = 0;
        const { ops } = block;
        const count = ops.length < remaining ? ops.length : remaining;
        this.stringLimit = remaining - ops.length + 1;
        for (i = 0; i < count; i++) (ops[i] as (cpu: Cpu) => void)(this);
        if (count < ops.length || !block.isEnded) this.#jump(block, count);
        const executed = count + this.extra;
        this.extra = 0;
        this.#count(executed);
        remaining -= executed;
        if (this.exit !== undefined) return this.#takeExit();
        if ((words[FLAG_REST] ?? 0) & TF) return BUDGET;
      }
      return BUDGET;
    } catch (signal) {
      if (!(signal instanceof FaultSignal)) throw signal;
      if (block !== undefined) {
        this.#jump(block, i);
        this.#count(i + this.extra);
      }
      return this.#faulted(signal);
    }
  }

  #takeExit(): CpuExit {
    const exit = this.exit ?? BUDGET;
    this.exit = undefined;
    return exit;
  }

  #faulted(signal: FaultSignal): CpuExit {
    this.exit = undefined;
    this.extra = 0;
    if (this.sentinel !== undefined && this.get('rip') === this.sentinel) return RETURNED;
    return { kind: 'fault', fault: signal.fault };
  }

  /** One instruction through the fetch model. */
  #stepFetched(): CpuExit {
    const { words } = this;
    const fetched = this.#fetched;
    const high = words[RIP + 1] ?? 0;
    const low = words[RIP] ?? 0;
    try {
      const available = this.fetch?.fetch(this, high, low, fetched) ?? 0;
      if (available === 0) throw this.space.fetchFault(high, low);
      const decoded = this.#code.single(fetched, available, high, low);
      words[INTERRUPT_SHADOW] = 0;
      this.stringLimit = 1;
      decoded.op(this);
      if (!decoded.ends) {
        const next = (low + decoded.length) | 0;
        words[RIP] = next;
        if (next >>> 0 < low >>> 0) words[RIP + 1] = (high + 1) | 0;
      }
    } catch (signal) {
      if (!(signal instanceof FaultSignal)) throw signal;
      return this.#faulted(signal);
    }
    this.#count(1);
    return this.exit === undefined ? BUDGET : this.#takeExit();
  }

  /**
   * Delivers an interrupt or exception to machine code as the CPU does through an interrupt gate in kernel mode (SDM vol. 3, 6.14): aligns the
   * stack (or takes `stack`, an IST entry), pushes SS, RSP, RFLAGS, CS, RIP and the error code if there is one, clears IF and TF and goes to the
   * handler; `iret` comes back. False, and nothing changed, when the stack cannot take the frame.
   */
  deliver(request: {
    readonly handler: bigint;
    readonly errorCode?: number;
    readonly stack?: bigint;
    readonly isNmi?: boolean;
  }): boolean {
    const before = this.words.slice();
    this.set('rsp', (request.stack ?? this.get('rsp')) & ~0xfn);
    const old = { rsp: wide(before[RSP + 1] ?? 0, before[RSP] ?? 0), rip: this.get('rip'), flags: BigInt(this.flags) };
    const frame = [KERNEL_SS, old.rsp, old.flags, KERNEL_CS, old.rip];
    if (request.errorCode !== undefined) frame.push(BigInt(request.errorCode));
    if (!frame.every((value) => this.push(value))) {
      this.words.set(before);
      return false;
    }
    this.words[FLAG_REST] = (this.words[FLAG_REST] ?? 0) & ~(IF | TF);
    this.words[INTERRUPT_SHADOW] = 0;
    if (request.isNmi === true) this.words[NMI_BLOCKED] = 1;
    this.set('rip', request.handler);
    return true;
  }
}

/** Selectors of Linux (arch/x86/include/asm/segment.h, 6.12): __KERNEL_CS, __KERNEL_DS. */
const KERNEL_CS = 0x10n;
const KERNEL_SS = 0x18n;

/** Adds to a pair of words in place: for instructions that move %rsp, %rsi, %rdi. */
export function addToPair(words: Int32Array, index: number, amount: number): void {
  const before = words[index] ?? 0;
  const after = (before + amount) | 0;
  words[index] = after;
  words[index + 1] = ((words[index + 1] ?? 0) + (amount >> 31) + carryOf(before, amount, after)) | 0;
}
