import { NativeProcess } from '../native-process/native-process.ts';
import type { NativeRequest } from '../native-process/protocol.ts';
import type { LowKernel } from './low-memory.ts';
import { spansOf } from './spans.ts';

export interface NativeCall {
  /** Addresses of the process. */
  readonly function: bigint;
  readonly args: readonly bigint[];
  /** Memory to be filled before the call. */
  readonly before: readonly { readonly at: bigint; readonly bytes: Uint8Array }[];
  /** Memory to be looked at after it, and what is to be there again. */
  readonly after: readonly { readonly at: bigint; readonly restored: Uint8Array }[];
}

export interface NativeAnswer {
  readonly value: bigint;
  /** In the order of `after`. */
  readonly memory: readonly Uint8Array[];
}

const STARTS_MAX = 30;

async function processWith(maps: readonly NativeRequest[]): Promise<NativeProcess> {
  for (let start = 1; ; start++) {
    const process = new NativeProcess();
    try {
      await process.run(maps);
      return process;
    } catch (error) {
      process.close();
      if (start === STARTS_MAX) throw error;
    }
  }
}

/** A kernel's functions on the real CPU, in a process of their own that has the kernel's text and data below 2 GiB. */
export class NativeKernel {
  readonly kernel: LowKernel;
  readonly #gs: bigint;
  #process: NativeProcess | undefined;

  /** @param gs what %gs is based on, as an address of the process */
  constructor(kernel: LowKernel, gs: bigint) {
    this.kernel = kernel;
    this.#gs = gs;
  }

  /** The heap of a process begins at random within the first GiB or so; one whose heap is in the way is given up for another. */
  async #start(): Promise<NativeProcess> {
    const spans = spansOf(this.kernel.pieces);
    const sized = spans.map((span) => ({ ...span, length: Number(span.end - span.start) }));
    const maps = sized.map(({ start, length }): NativeRequest => ({ op: 'map', address: start, length }));
    const process = await processWith(maps);
    await process.run([
      ...this.kernel.pieces.map(({ low, bytes }): NativeRequest => ({ op: 'write', address: low, bytes })),
      ...sized.map(
        ({ start, length, permissions }): NativeRequest => ({ op: 'protect', address: start, length, permissions }),
      ),
      { op: 'gs', base: this.#gs },
    ]);
    this.#process = process;
    return process;
  }

  /** Calls a function. Rejects with NativeCrash when the process dies of it; the next call has a new one. */
  async call({ function: address, args, before, after }: NativeCall): Promise<NativeAnswer> {
    const process = this.#process ?? (await this.#start());
    try {
      const requests: readonly NativeRequest[] = [
        ...before.map(({ at, bytes }) => ({ op: 'write' as const, address: at, bytes })),
        { op: 'call', address, args },
        ...after.map(({ at, restored }) => ({ op: 'read' as const, address: at, length: restored.length })),
        ...after.map(({ at, restored }) => ({ op: 'write' as const, address: at, bytes: restored })),
      ];
      const answers = await process.run(requests);
      const [value, ...rest] = answers.slice(before.length);
      if (typeof value !== 'bigint') throw new TypeError('no result came back');
      const memory = rest.slice(0, after.length).filter((bytes) => bytes instanceof Uint8Array);
      return { value, memory };
    } catch (error) {
      process.close();
      this.#process = undefined;
      throw error;
    }
  }

  close(): void {
    this.#process?.close();
    this.#process = undefined;
  }
}
