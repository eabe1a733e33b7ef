import { type Clock, invariant } from '../base/index.ts';
import { type AddressSpace, type Cpu, PAGE_SIZE, type Region } from '../cpu/index.ts';
import { boot } from './boot.ts';
import type { BpfMemoryOfMachine } from './bpf-memory.ts';
import type { CallOutcome, MachineCall, MachineState, ModuleMemory } from './call-types.ts';
import type { Play } from './intercepts.ts';
import { SLOTS_START } from './layout.ts';
import type { MachineImage } from './machine-image.ts';
import type { MachineText, Overlay } from './machine-text.ts';
import { mapModules } from './modules.ts';
import { Run } from './run.ts';
import { RuntimeIndex } from './runtime-index.ts';
import type { TracepointMemory } from './tracepoint-memory.ts';
import { type Watches, watchCounted } from './watch.ts';

interface Shown {
  readonly version: number;
  readonly index: RuntimeIndex;
  readonly watches: Watches;
}

/**
 * A simulated machine that has booted one kernel: memory, text, CPUs. A call runs on one of them from its first instruction to its return;
 * afterwards memory is as it was. Text and owners are shown to it from outside and never changed by it.
 */
export class Machine {
  readonly image: MachineImage;
  readonly space: AddressSpace;
  readonly text: MachineText;
  readonly #clock: Clock;
  readonly #cpus: readonly Cpu[];
  readonly #intercepts: ReadonlyMap<bigint, Play>;
  readonly #overlays: readonly Overlay[];
  readonly #bpf: BpfMemoryOfMachine;
  readonly #tracepoints: TracepointMemory;
  #slots: Region | undefined;
  #modules: readonly Region[] = [];
  #shown: Shown | undefined;

  constructor(image: MachineImage, clock: Clock) {
    this.image = image;
    this.#clock = clock;
    const { space, text, cpus, intercepts, overlays, bpf, tracepoints } = boot(image);
    this.space = space;
    this.text = text;
    this.#cpus = cpus;
    this.#intercepts = intercepts;
    this.#overlays = overlays;
    this.#bpf = bpf;
    this.#tracepoints = tracepoints;
  }

  /** Modules come and go: their data does with them. */
  #mapModules(modules: readonly ModuleMemory[]): void {
    for (const region of this.#modules) this.space.unmap(region);
    this.#modules = mapModules(this.space, modules);
  }

  /** Shows text and owners. Equal versions are equal states, and cost nothing. */
  #show(state: MachineState): Shown {
    if (this.#shown?.version === state.version) return this.#shown;
    const index = new RuntimeIndex(state.runtime, this.image);
    this.#mapModules(state.modules ?? []);
    this.text.show(state.delta, []);
    const watches = watchCounted(index, (at, length) => this.text.bytes(at, length));
    this.text.show(state.delta, [...this.#overlays, ...watches.overlays]);
    if (this.#slots !== undefined) this.space.unmap(this.#slots);
    this.#slots =
      watches.slots.length === 0
        ? undefined
        : this.space.map({
            name: 'displaced instructions',
            start: SLOTS_START,
            length: Math.ceil(watches.slots.length / PAGE_SIZE) * PAGE_SIZE,
            permissions: 'r-x',
            initial: watches.slots,
          });
    this.#bpf.show(state.runtime.maps);
    this.#shown = { version: state.version, index, watches };
    return this.#shown;
  }

  /** Runs one call to its end, and puts memory back. */
  call(state: MachineState, request: MachineCall): CallOutcome {
    const shown = this.#show(state);
    const cpu = this.#cpus[request.cpu];
    invariant(cpu !== undefined, () => `CPU ${request.cpu} of ${this.#cpus.length}`);
    this.space.restore();
    this.#bpf.putPrograms(state.runtime.tailCallees);
    this.#tracepoints.put(state.runtime.tracepoints);
    const run = new Run(
      {
        image: this.image,
        text: this.text,
        cpu,
        index: shown.index,
        watches: shown.watches,
        intercepts: this.#intercepts,
        bpf: this.#bpf.world(this.#clock),
      },
      request,
    );
    try {
      const outcome = run.toTheEnd(this.#clock);
      return outcome.end.kind === 'returned' ? { ...outcome, mapWrites: this.#bpf.writes() } : outcome;
    } finally {
      this.space.restore();
    }
  }
}
