import { fileURLToPath } from 'node:url';
import { type DataRequest, dataRequest, isTextArea } from '../image/index.ts';
import { type MachineImage, type MachineState, type ModuleMemory, machineImage, textDelta } from '../machine/index.ts';
import { describeRuntime, type KernelState, worldOf } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';

/** From src/ and from dist/ alike. */
const BUILTIN_PATH = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));

/** Areas of modules that are no text, which comes with the text's delta. */
function moduleMemory({ state, world }: Kernel): readonly ModuleMemory[] {
  return state.modules.flatMap(({ name, image }) =>
    image.areas
      .filter(({ kind }) => !isTextArea(kind))
      .map(({ kind, start, size, bytes }) => ({
        name: `${kind} of ${name}`,
        address: world.image.base + BigInt(start),
        length: size,
        bytes,
        isWritable: kind === 'data' || kind === 'init.data',
      })),
  );
}

/** What threads with machines are given of the kernel. */
export class MachineStates {
  readonly #kernel: Kernel;
  #shown: { readonly state: KernelState; readonly machineState: MachineState } | undefined;
  #version = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Text and owners as they are now. Both change together, under text_mutex. */
  present(): MachineState {
    const { state, text, world } = this.#kernel;
    if (this.#shown?.state === state) return this.#shown.machineState;
    this.#version += 1;
    const delta = textDelta(text, text.changedRanges());
    const modules = moduleMemory(this.#kernel);
    const machineState = { version: this.#version, delta, runtime: describeRuntime(world, state, text), modules };
    this.#shown = { state, machineState };
    return machineState;
  }

  /** With as many CPUs as asked; 4 where nobody asks. Its data is read by the thread. */
  start(cpus?: number): { readonly image: MachineImage; readonly data: DataRequest } {
    // Modules are part of the state that is shown, not of what a thread begins with.
    const { image } = worldOf(this.#kernel.world, []);
    return {
      image: machineImage(image, { sections: [] }, cpus),
      data: dataRequest(image, image.source === 'builtin' ? BUILTIN_PATH : image.source),
    };
  }
}
