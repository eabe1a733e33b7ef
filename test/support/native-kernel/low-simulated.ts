import { AddressSpace, Cpu, type CpuExit, PAGE_SIZE } from '../../../src/cpu/index.ts';
import type { LowKernel } from './low-memory.ts';
import type { MemoryPage } from './pristine-kernel.ts';
import { spansOf } from './spans.ts';

const MAX_INSTRUCTIONS = 100_000;
const RETURN_ADDRESS = 0x1000_0000n;
const STACK = 0x1800_0000n;
const STACK_SIZE = 0x4000;
const REGISTERS = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;
const FLAGS = 0x202;

export interface LowCall {
  readonly exit: CpuExit;
  readonly value: bigint;
  /** Pages that were written, the stack's aside. */
  readonly written: readonly MemoryPage[];
  readonly executed: ReadonlySet<bigint>;
}

/** The simulated CPU over the memory that the process has, at the same addresses: what it does there and what the real one does can be compared bit by bit. */
export class LowSimulated {
  readonly #space = new AddressSpace();
  readonly #gs: bigint;

  constructor({ pieces }: LowKernel, gs: bigint) {
    this.#gs = gs;
    for (const { start, end, permissions } of spansOf(pieces)) {
      const bytes = new Uint8Array(Number(end - start));
      for (const piece of pieces) {
        const at = Number(piece.low - start);
        if (at >= bytes.length || at + piece.bytes.length <= 0) continue;
        bytes.set(piece.bytes.subarray(Math.max(0, -at), bytes.length - at), Math.max(0, at));
      }
      this.#space.map({ name: `0x${start.toString(16)}`, start, length: bytes.length, permissions, initial: bytes });
    }
    this.#space.map({ name: 'stack', start: STACK, length: STACK_SIZE, permissions: 'rw-' });
  }

  call(address: bigint, args: readonly bigint[], given: readonly MemoryPage[], isTraced: boolean): LowCall {
    const space = this.#space;
    space.restore();
    for (const { address: at, bytes } of given) space.poke(at, bytes);
    const cpu = new Cpu({ number: 0, space });
    cpu.sentinel = RETURN_ADDRESS;
    cpu.flags = FLAGS;
    cpu.set('gs_base', this.#gs);
    cpu.set('rip', address);
    const onStack = args.slice(REGISTERS.length);
    cpu.set('rsp', STACK + BigInt(STACK_SIZE) - (onStack.length % 2 === 1 ? 24n : 16n));
    for (const word of [...onStack].reverse()) cpu.push(word);
    cpu.push(RETURN_ADDRESS);
    for (const [i, name] of REGISTERS.entries()) cpu.set(name, args[i] ?? 0n);
    const executed = new Set<bigint>();
    let exit: CpuExit = { kind: 'budget' };
    if (isTraced)
      while (exit.kind === 'budget' && cpu.executed < MAX_INSTRUCTIONS) {
        executed.add(cpu.get('rip'));
        exit = cpu.step();
      }
    else exit = cpu.run(MAX_INSTRUCTIONS);
    const written = space
      .snapshot()
      .pages.filter(({ region }) => region.name !== 'stack')
      .map(({ region, page, bytes }) => ({ address: region.start + BigInt(page * PAGE_SIZE), bytes }));
    space.restore();
    return { exit, value: cpu.get('rax'), written, executed };
  }

  /** Other bytes than the process has, from now on: for canaries. */
  mistake(at: bigint, bytes: Uint8Array): void {
    const region = this.#space.regions.find((r) => at >= r.start && at < r.start + BigInt(r.length));
    region?.initial?.set(bytes, Number(at - region.start));
    this.#space.poke(at, bytes);
  }

  /** What a page holds before any call. */
  initial(page: bigint): Uint8Array {
    return this.#space.peek(page, PAGE_SIZE) ?? new Uint8Array(PAGE_SIZE);
  }
}
