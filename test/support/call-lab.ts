/** Calls in process: a machine for an image, and a state of owners shown to it. */
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/index.ts';
import { dataRequest, type KernelImage, readImageData } from '../../src/image/index.ts';
import {
  type CallArgument,
  type CallOutcome,
  Machine,
  type MachineCall,
  machineImage,
  NO_DELTA,
  textDelta,
} from '../../src/machine/index.ts';
import { describeRuntime, initialState, makeWorld, type World } from '../../src/registry/index.ts';
import { withArena } from './arena-text.ts';
import type { RegistryLab } from './registry-lab.ts';

export const BUILTIN_PATH = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));

const machines = new WeakMap<KernelImage, Promise<Machine>>();

async function make(image: KernelImage): Promise<Machine> {
  const data = await readImageData(dataRequest(image, image.source === 'builtin' ? BUILTIN_PATH : image.source));
  if (!data.ok) throw new Error(data.fault.detail);
  return new Machine(machineImage(image, data.value), systemClock);
}

/** One machine for each image, made when it is asked for. */
export function machineOf(image: KernelImage): Promise<Machine> {
  const known = machines.get(image);
  if (known !== undefined) return known;
  const made = make(image);
  machines.set(image, made);
  return made;
}

export const word = (value: number | bigint): CallArgument => ({
  kind: 'word',
  value: BigInt.asUintN(64, BigInt(value)),
});
export const buffer = (hex: string): CallArgument => ({
  kind: 'buffer',
  bytes: Uint8Array.from(Buffer.from(hex, 'hex')),
});
export const text = (string: string): CallArgument => buffer(Buffer.from(`${string}\0`, 'latin1').toString('hex'));

const LIMITS = { cpu: 0, maxInstructions: 5_000_000, maxMs: 10_000, traceMax: 0 };

let version = 0;

/** Calls a function with everything attached that the lab has attached. */
export function callIn(
  lab: RegistryLab,
  name: string,
  args: readonly CallArgument[],
  limits: Partial<MachineCall> = {},
): Promise<CallOutcome> {
  const [symbol] = lab.world.image.symbols.byName(name);
  if (symbol === undefined) throw new Error(`the image has no ${name}`);
  return callAt(lab, symbol.address, args, limits);
}

/** The same of code that has no name, such as a BPF program. */
export async function callAt(
  { world, state, text: live }: RegistryLab,
  address: bigint,
  args: readonly CallArgument[],
  limits: Partial<MachineCall> = {},
): Promise<CallOutcome> {
  version += 1;
  const delta = textDelta(live, live.changedRanges());
  const shown = { version, delta, runtime: describeRuntime(world, state, live) };
  return (await machineOf(world.image)).call(shown, { function: address, args, ...LIMITS, ...limits });
}

export interface CallLab {
  readonly world: World;
  readonly machine: Machine;
  /** On pristine text. */
  call(name: string, args: readonly CallArgument[], limits?: Partial<MachineCall>): CallOutcome;
}

/** Calls functions of a kernel that nobody has attached to. */
export async function labOf(image: KernelImage): Promise<CallLab> {
  const machine = await machineOf(image);
  const world = makeWorld(image, { strictness: 'linux' });
  version += 1;
  const state = { version, delta: NO_DELTA, runtime: describeRuntime(world, initialState(world), withArena(world)) };
  return {
    world,
    machine,
    call(name, args, limits = {}) {
      const [symbol] = image.symbols.byName(name);
      if (symbol === undefined) throw new Error(`the image has no ${name}`);
      return machine.call(state, { function: symbol.address, args, ...LIMITS, ...limits });
    },
  };
}
