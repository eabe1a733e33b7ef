import type { CallOutcome, MachineCall, MachineState } from '../call-types.ts';
import { HEAP_SIZE, HEAP_START } from '../layout.ts';
import type { Machine } from '../machine.ts';

/** What a call does that runs alone on text that does not change. */
export interface Reference {
  readonly version: number;
  readonly ended: string;
  readonly value: bigint;
  /** Attachments in the order in which they fire. */
  readonly order: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
}

function counts(names: readonly string[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const name of names) found.set(name, (found.get(name) ?? 0) + 1);
  return found;
}

/** Addresses in a CPU's part of the heap count from its beginning. */
const relative = (value: bigint, heap: bigint, room: bigint): bigint =>
  value >= heap && value < heap + room ? value - heap + HEAP_START : value;

/** Runs every call of the mix alone: what it has to be like in this state. */
export function references(machine: Machine, state: MachineState, mix: readonly MachineCall[]): readonly Reference[] {
  return mix.map((call): Reference => {
    const { end, fired } = machine.call(state, { ...call, cpu: 0 });
    const order = fired.map(({ attachment }) => attachment);
    const value = end.kind === 'returned' ? relative(end.value, HEAP_START, BigInt(HEAP_SIZE)) : 0n;
    return { version: state.version, ended: end.kind, value, order, counts: counts(order) };
  });
}

/** Where a call's memory lies. */
export interface HeapPart {
  readonly start: bigint;
  readonly room: bigint;
}

/**
 * What is wrong with a call that ran while text was, one after the other, in these states; undefined when nothing is.
 *   1. It ends as it does in one of them, with the result of one of them.
 *   2. An owner fires at least as often as in the state in which it fires least, and at most as often as in that in which it fires most. A hook that
 *      found its pool empty, because of the other CPUs, is accounted for.
 *   3. In a single state the order is that of the state.
 */
export function wrongFiring(outcome: CallOutcome, states: readonly Reference[], heap: HeapPart): string | undefined {
  const { end, fired, misses } = outcome;
  if (!states.some(({ ended }) => ended === end.kind)) return `ended with ${end.kind}, not ${states[0]?.ended}`;
  const value = end.kind === 'returned' ? relative(end.value, heap.start, heap.room) : 0n;
  if (!states.some((each) => each.ended === end.kind && each.value === value))
    return `returned 0x${value.toString(16)}, not 0x${states[0]?.value.toString(16)}`;
  const order = fired.map(({ attachment }) => attachment);
  const ran = counts(order);
  const exhausted = counts(
    misses.filter(({ reason }) => reason === 'instances exhausted').map(({ attachment }) => attachment),
  );
  const [only] = states;
  if (states.length === 1 && only !== undefined && exhausted.size === 0)
    return order.join() === only.order.join()
      ? undefined
      : `fired ${order.join() || 'none'}, not ${only.order.join() || 'none'}`;
  const names = new Set([...ran.keys(), ...states.flatMap((each) => [...each.counts.keys()])]);
  for (const name of names) {
    const times = states.map((each) => each.counts.get(name) ?? 0);
    const actual = ran.get(name) ?? 0;
    const accounted = actual + (exhausted.get(name) ?? 0);
    if (accounted < Math.min(...times)) return `${name} fired ${actual} times, at least ${Math.min(...times)} expected`;
    if (actual > Math.max(...times)) return `${name} fired ${actual} times, at most ${Math.max(...times)} expected`;
  }
  return undefined;
}
