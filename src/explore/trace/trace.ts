import { toHex } from '../../base/index.ts';
import type { Replay } from '../search/replay.ts';
import { actorOf, kindOf, STEP_KINDS, type StepKind, type Violation } from '../search/space.ts';
import { type CpuState, END, isOff, START } from '../world/cpu-state.ts';
import type { World } from '../world/world.ts';

/** A run as a viewer shows it: a column for each step, a lane for each patcher and CPU, and the bytes of each place that changes. */
export interface Trace {
  readonly patchers: readonly string[];
  readonly cpus: readonly string[];
  /** Places whose bytes the lanes at the bottom show. */
  readonly places: readonly { readonly name: string; readonly address: string; readonly length: number }[];
  readonly steps: readonly TraceStep[];
  readonly violation?: Violation;
}

export interface TraceStep {
  readonly actor: string;
  readonly kind: StepKind;
  readonly what: string;
  /** Where each CPU is after the step. */
  readonly cpus: readonly TraceCpu[];
  /** For each place its bytes, hex, and for each CPU what else it may still fetch there: bytes by position, hex. */
  readonly bytes: readonly { readonly now: string; readonly stale: readonly (readonly string[])[] }[];
}

export interface TraceCpu {
  /** `f+0x5`, `int3 handler`, `idle`, `off`, with what runs on top of it in front: `irq: f`. */
  readonly at: string;
  /** A sync waits for it. */
  readonly isPending: boolean;
  /** May fetch something that is no longer there. */
  readonly isStale: boolean;
}

/** What a replay has shown, in the terms of people. */
export function traceOf(world: World, run: Replay): Trace {
  const ranges = changingPlaces(world);
  const actors = world.actors;
  const isPatcher = (name: string): boolean => /^[A-Z]/.test(name);
  return {
    patchers: actors.filter(isPatcher),
    cpus: actors.filter((name) => !isPatcher(name)),
    places: ranges.map(({ start, end }) => ({
      name: nameAt(world, start),
      address: `0x${start.toString(16)}`,
      length: end - start,
    })),
    steps: run.steps.map(({ step, what, state }) => ({
      actor: actors[actorOf(step)] ?? '?',
      kind: STEP_KINDS[kindOf(step)] ?? 'run',
      what: what.slice(what.indexOf(' ') + 1),
      cpus: world.cpusOf(state).map((cpu) => traceCpu(world, cpu)),
      bytes: ranges.map((range) => traceBytes(world, state, range)),
    })),
    ...(run.violation === undefined ? {} : { violation: run.violation }),
  };
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Places that change, each once; generated code that comes and goes whole is left out where it is long. */
function changingPlaces({ layout }: World): readonly Range[] {
  const ranges: Range[] = [];
  for (const [start, end] of [...layout.changing].sort((a, b) => a[0] - b[0])) {
    const last = ranges.at(-1);
    if (last !== undefined && start < last.end)
      ranges[ranges.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    else ranges.push({ start, end });
  }
  return ranges;
}

function traceBytes(world: World, state: Int32Array, { start, end }: Range): TraceStep['bytes'][number] {
  const { memory } = world;
  const text = memory.textOf(world.sharedOf(state).memory);
  const stale = world.cpusOf(state).map((cpu) =>
    Array.from({ length: end - start }, (_, i) => {
      if (isOff(cpu.local)) return '';
      return toHex(Uint8Array.from(memory.visible.possible(cpu.view, start + i).slice(1)));
    }),
  );
  return { now: toHex(memory.visible.bytes(text, start, end - start)), stale };
}

function traceCpu(world: World, cpu: CpuState): TraceCpu {
  const { frames } = cpu.local;
  const isStale = !world.memory.visible.isFresh(cpu.view);
  if (isOff(cpu.local)) return { at: 'off', isPending: false, isStale: false };
  const frame = frames.at(-1);
  const where =
    frame === undefined || (frame.rip === START && frames.length === 1)
      ? 'idle'
      : frame.trap !== undefined
        ? 'int3 handler'
        : frame.rip === START
          ? 'entered'
          : frame.rip === END
            ? 'returned'
            : nameAt(world, frame.rip);
  const outer = frames.slice(1).map(({ kind }) => `${kind}: `);
  return { at: `${outer.join('')}${where}`, isPending: cpu.isPending, isStale };
}

/** `f+0x5`. */
export function nameAt({ layout }: World, at: number): string {
  const text = layout.texts.find((each) => at >= each.at && at < each.at + each.length);
  if (text === undefined) return `0x${at.toString(16)}`;
  return at === text.at ? text.spec.name : `${text.spec.name}+0x${(at - text.at).toString(16)}`;
}
