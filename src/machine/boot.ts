import { type AddressSpace, Cpu } from '../cpu/index.ts';
import { helperStub, TRACE_RUN_STUB_ID } from '../jit/index.ts';
import { ARENA_END, ARENA_START } from '../textpoke/index.ts';
import { BpfMemoryOfMachine } from './bpf-memory.ts';
import { STUB_HELPERS } from './handlers/helpers.ts';
import { traceRun } from './handlers/tracepoint.ts';
import { INTERCEPTED, type Play } from './intercepts.ts';
import { HYPERCALL } from './layout.ts';
import type { MachineImage } from './machine-image.ts';
import { MachineText, type Overlay } from './machine-text.ts';
import { makeMemory } from './memory.ts';
import { TracepointMemory } from './tracepoint-memory.ts';

/** A machine that has booted one kernel and runs nothing yet. */
export interface Booted {
  readonly image: MachineImage;
  readonly space: AddressSpace;
  readonly text: MachineText;
  readonly cpus: readonly Cpu[];
  /** Played functions, by address. */
  readonly intercepts: ReadonlyMap<bigint, Play>;
  /** Their hypercalls, to be shown with every text. */
  readonly overlays: readonly Overlay[];
  /** Memory of BPF maps. */
  readonly bpf: BpfMemoryOfMachine;
  /** Memory of the probes of tracepoints. */
  readonly tracepoints: TracepointMemory;
}

export function boot(image: MachineImage): Booted {
  const space = makeMemory(image, HYPERCALL);
  const arena = { start: Number(ARENA_START - image.base), end: Number(ARENA_END - image.base) };
  const text = new MachineText(image.text, arena);
  space.mapText('text', image.base, text);
  const intercepts = new Map<bigint, Play>();
  for (const [name, play] of INTERCEPTED) {
    const at = image.symbols[name];
    if (at !== undefined) intercepts.set(at, play);
  }
  const overlays = [...intercepts.keys()].map((at) => ({ at: Number(at - image.base), bytes: HYPERCALL }));
  for (const [at, play] of STUB_HELPERS) intercepts.set(at, play);
  intercepts.set(helperStub(TRACE_RUN_STUB_ID), traceRun);
  const bpf = new BpfMemoryOfMachine(space, image);
  const tracepoints = new TracepointMemory(space, image);
  const cpus = Array.from({ length: image.cpus }, (_, number) => new Cpu({ number, space }));
  return { image, space, text, cpus, intercepts, overlays, bpf, tracepoints };
}
