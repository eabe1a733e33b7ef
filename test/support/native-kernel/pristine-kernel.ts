import { systemClock } from '../../../src/base/index.ts';
import { Cpu, PAGE_SIZE } from '../../../src/cpu/index.ts';
import { dataRequest, type KernelImage, readImageData } from '../../../src/image/index.ts';
import { type CallArgument, type CallOutcome, Machine, machineImage, NO_DELTA } from '../../../src/machine/index.ts';
import { Run } from '../../../src/machine/run.ts';
import { RuntimeIndex } from '../../../src/machine/runtime-index.ts';
import { describeRuntime, initialState, makeWorld } from '../../../src/registry/index.ts';
import { withArena } from '../arena-text.ts';

export interface MemoryPage {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

export interface PristineCall {
  readonly outcome: CallOutcome;
  /** Argument words, in the order of the calling convention. */
  readonly words: readonly bigint[];
  /** Pages of the heap as the function found them. */
  readonly given: readonly MemoryPage[];
  /** Pages that differ from what boot left behind, stacks aside, as the function left them. */
  readonly written: readonly MemoryPage[];
}

const MAX_INSTRUCTIONS = 100_000;
const NOBODY = { overlays: [], byEntry: new Map(), silenced: new Map(), slots: new Uint8Array(0) };

/** A kernel that nobody has attached to, whose memory can be looked at when a call has ended. */
export class PristineKernel {
  readonly machine: Machine;
  readonly #index: RuntimeIndex;

  private constructor(machine: Machine, index: RuntimeIndex) {
    this.machine = machine;
    this.#index = index;
  }

  static async of(image: KernelImage): Promise<PristineKernel> {
    const data = await readImageData(dataRequest(image, image.source));
    if (!data.ok) throw new Error(data.fault.detail);
    const machine = new Machine(machineImage(image, data.value), systemClock);
    const world = makeWorld(image, { strictness: 'linux' });
    const runtime = describeRuntime(world, initialState(world), withArena(world));
    return new PristineKernel(machine, new RuntimeIndex(runtime, machine.image));
  }

  call(address: bigint, args: readonly CallArgument[]): PristineCall {
    const { machine } = this;
    const { space } = machine;
    // Calls with owners may have come before.
    machine.text.show(NO_DELTA, NOBODY.overlays);
    space.restore();
    const cpu = new Cpu({ number: 0, space });
    const context = { image: machine.image, text: machine.text, cpu, index: this.#index };
    const run = new Run(
      { ...context, watches: NOBODY, intercepts: new Map() },
      {
        function: address,
        args,
        cpu: 0,
        maxInstructions: MAX_INSTRUCTIONS,
        maxMs: 10_000,
        traceMax: 0,
      },
    );
    const { buffers } = run.outcome();
    const given = this.#pages();
    const outcome = run.toTheEnd(systemClock);
    const written = this.#pages();
    space.restore();
    const words = args.map((arg, i) =>
      arg.kind === 'word' ? arg.value : (buffers.find((each) => each.arg === i)?.address ?? 0n),
    );
    return { outcome, words, given, written };
  }

  #pages(): readonly MemoryPage[] {
    return this.machine.space
      .snapshot()
      .pages.filter(({ region }) => !region.name.startsWith('stack'))
      .map(({ region, page, bytes }) => ({ address: region.start + BigInt(page * PAGE_SIZE), bytes }));
  }
}
