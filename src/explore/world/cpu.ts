import { toHex } from '../../base/index.ts';
import { jccTaken, pokeInt3Handler } from '../../textpoke/index.ts';
import { ScenarioError } from '../scenario/assemble.ts';
import type { Layout } from '../scenario/layout.ts';
import { GRACE_PERIODS, type Property, type Scenario } from '../scenario/scenario.ts';
import { IPI, IRQ, makeStep, NMI, RUN, type Step } from '../search/space.ts';
import { runBuiltin } from './builtins.ts';
import {
  type CpuLocal,
  type CpuState,
  END,
  emptyFrame,
  type Frame,
  fire,
  hasInterrupts,
  isInNmi,
  isInterruptible,
  isOff,
  type Resume,
  START,
  top,
  withTop,
} from './cpu-state.ts';
import type { Executor } from './executor.ts';
import { effectOf, resume } from './flow.ts';
import { mustWaitFor, quiesce } from './grace.ts';
import type { Intended } from './intended.ts';
import type { Mutation } from './mutation.ts';
import type { Shared } from './shared.ts';
import type { TextMemory } from './text-memory.ts';

export interface CpuOutcome {
  /** Without an actor. */
  readonly step: Step;
  readonly cpu: CpuState;
  readonly shared: Shared;
  readonly violation: { readonly property: Property; readonly detail: string } | undefined;
  readonly what: string;
}

export interface CpuWorld {
  readonly scenario: Scenario;
  readonly layout: Layout;
  readonly memory: TextMemory;
  readonly intended: Intended;
  readonly executor: Executor;
  readonly mutation: Mutation;
  /** Carries on over steps that nobody else can see or disturb. */
  readonly isReduced: boolean;
}

/** Steps that nobody can see, in a row; more is a loop that never comes out. */
const LOCAL_STEPS_MAX = 1000;

const hex = (at: number): string => `0x${at.toString(16)}`;

type Effect = Pick<CpuOutcome, 'what'> & {
  readonly local?: CpuLocal;
  readonly shared?: Shared;
  readonly violation?: CpuOutcome['violation'];
  /** Left a handler by iret. */
  readonly serialises?: boolean;
};

/** Everything that a CPU can do next, in a fixed order: what stands there now, other fetches, IPI, interrupt, NMI. */
export function cpuOutcomes(world: CpuWorld, cpu: CpuState, shared: Shared): readonly CpuOutcome[] {
  const { local } = cpu;
  if (isOff(local)) return [];
  const frame = top(local);
  const outcomes = runEffects(world, cpu, shared).map((effect, i) =>
    settle(world, { cpu, shared, effect, step: makeStep(0, RUN, i) }),
  );
  const from = (kind: number, effect: Effect): void => {
    outcomes.push(settle(world, { cpu, shared, effect, step: makeStep(0, kind) }));
  };
  if (cpu.isPending && hasInterrupts(local))
    outcomes.push({
      step: makeStep(0, IPI),
      cpu: normal(world, { ...cpu, isPending: false }, shared, true),
      shared,
      violation: undefined,
      what: 'takes the IPI and serialises',
    });
  if (hasInterrupts(local) && local.irqs > 0) {
    const frames = [...local.frames, emptyFrame('irq')];
    from(IRQ, { local: { ...local, frames, irqs: local.irqs - 1 }, what: `is interrupted at ${where(frame)}` });
  }
  if (!isInNmi(local) && local.nmis > 0) {
    const frames = [...local.frames, emptyFrame('nmi')];
    from(NMI, { local: { ...local, frames, nmis: local.nmis - 1 }, what: `takes an NMI at ${where(frame)}` });
  }
  return outcomes;
}

const where = ({ rip }: Frame): string => (rip === START ? 'rest' : rip === END ? 'the end of its call' : hex(rip));

function settle(
  world: CpuWorld,
  {
    cpu,
    shared,
    effect,
    step,
  }: { readonly cpu: CpuState; readonly shared: Shared; readonly effect: Effect; readonly step: Step },
): CpuOutcome {
  const { what, violation } = effect;
  const after = effect.shared ?? shared;
  if (violation !== undefined) return { step, cpu, shared: after, violation, what };
  const local = effect.local ?? cpu.local;
  let { awaited } = cpu;
  for (const kind of GRACE_PERIODS) if (!mustWaitFor(local, kind)) awaited = quiesce(awaited, kind);
  const moved = { ...cpu, local: world.isReduced ? runOn(world, local) : local, awaited };
  return { step, cpu: normal(world, moved, after, effect.serialises === true), shared: after, violation, what };
}

/** A CPU that can do nothing any more sees nothing and keeps nobody waiting, whatever it fetched last. */
function normal(world: CpuWorld, cpu: CpuState, shared: Shared, serialises: boolean): CpuState {
  if (isOff(cpu.local)) return { ...cpu, view: 0, isPending: false, awaited: 0 };
  if (!serialises) return cpu;
  return { ...cpu, view: world.memory.visible.fresh(world.memory.textOf(shared.memory)) };
}

/** What the innermost frame can do: one effect, or one for each instruction that may have been fetched. */
function runEffects(world: CpuWorld, cpu: CpuState, shared: Shared): readonly Effect[] {
  const { local } = cpu;
  const frame = top(local);
  if (frame.trap !== undefined) return [handleInt3(world, local, shared)];
  if (frame.rip === START) return beginCall(world, local, shared);
  if (frame.rip === END) return [endCall(world, local)];
  const freed = freedAt(world.layout, frame.rip, shared);
  if (freed !== undefined)
    return [{ what: `runs into ${freed}`, violation: { property: 'no-freed', detail: `${freed} does not exist` } }];
  const builtin = world.layout.builtins.get(frame.rip);
  if (builtin !== undefined) {
    const done = runBuiltin(world.layout, builtin.spec, frame, shared);
    return [{ local: withTop(local, done.frame), what: done.what }];
  }
  const fetched = world.memory.visible.fetch(cpu.view, frame.rip);
  return fetched.map((bytes, i) => runInsn(world, { local, shared, bytes, isStale: i > 0 }));
}

function beginCall(world: CpuWorld, local: CpuLocal, shared: Shared): readonly Effect[] {
  const spec = world.scenario.cpus[local.spec];
  const frame = top(local);
  if (spec === undefined || (frame.kind === 'task' && local.runs === 0)) return [];
  const run = frame.kind === 'task' ? spec.run : frame.kind === 'irq' ? spec.irq?.run : spec.nmi?.run;
  const rip = world.layout.places.get(run ?? '');
  if (rip === undefined) throw new ScenarioError(`no text is called ${run}`);
  const runs = frame.kind === 'task' && local.runs > 0 ? local.runs - 1 : local.runs;
  const must = shared.attached & scopeOf(world, run ?? '');
  const flags = frame.flags | (spec.flags ?? 0);
  return [{ local: { ...withTop(local, { ...frame, rip, must, flags }), runs }, what: `calls ${run}` }];
}

/** Owners that are attached to a function, if at all. */
const scopeOf = ({ scenario, layout }: CpuWorld, run: string): number =>
  layout.owners.reduce((mask, name, owner) => {
    const on = scenario.on?.[name];
    return on === undefined || on.includes(run) ? mask | (1 << owner) : mask;
  }, 0);

/** A call is over: it must have run each owner that was there all the time once, and none twice. */
function endCall(world: CpuWorld, local: CpuLocal): Effect {
  const { must, fired, kind } = top(local);
  const count = (owner: number): number => fired[owner] ?? 0;
  for (const [owner, name] of world.layout.owners.entries()) {
    const isWrong = count(owner) > 1 || (count(owner) === 0 && (must >> owner) & 1);
    const times = count(owner) === 0 ? 'not at all' : `${count(owner)} times`;
    if (isWrong)
      return { what: 'ends its call', violation: { property: 'exactly-once', detail: `${name} ran ${times}` } };
  }
  if (kind === 'task') return { local: withTop(local, emptyFrame('task')), what: 'ends its call' };
  const frames = local.frames.slice(0, -1);
  return { local: { ...local, frames }, what: `returns from the ${kind}`, serialises: true };
}

function runInsn(
  world: CpuWorld,
  {
    local,
    shared,
    bytes,
    isStale,
  }: { readonly local: CpuLocal; readonly shared: Shared; readonly bytes: Uint8Array; readonly isStale: boolean },
): Effect {
  const frame = top(local);
  const what = `executes ${toHex(bytes)} at ${hex(frame.rip)}${isStale ? ' (stale)' : ''}`;
  if (!world.intended.allows(frame.rip, bytes))
    return {
      what,
      violation: { property: 'no-mix', detail: `${toHex(bytes)} at ${hex(frame.rip)} was never meant to be there` },
    };
  const over = shared.over[frame.rip];
  if (over !== undefined && over[0] === toHex(bytes) && over[0] !== over[1])
    return { what, violation: { property: 'new-after-sync', detail: `the old instruction at ${hex(frame.rip)}` } };
  const done = world.executor.execute(frame, bytes);
  if (done.kind === 'next') return { local: withTop(local, done.frame), what, serialises: done.isSerialised };
  const trap = { at: frame.rip, stage: 'poke' } as const;
  return { local: withTop(local, { ...frame, trap }), what };
}

/**
 * exc_int3, arch/x86/kernel/traps.c (6.12), with the functions of textpoke where Linux has its own.
 *
 *  1. `poke`: take a reference to the vector if one is published, and find the site in it.
 *  2. `held`: drop the reference; when the site was found, its new instruction has been played and iret leads there.
 *  3. `kprobe`: a kprobe at the place runs, then the instruction it replaced.
 *  4. Nobody knows the int3: oops.
 */
function handleInt3(world: CpuWorld, local: CpuLocal, shared: Shared): Effect {
  const frame = top(local);
  const { trap, ...rest } = frame;
  if (trap === undefined) throw new ScenarioError('no int3 to handle');
  const go = (stage: 'held' | 'kprobe', answer?: Resume): CpuLocal =>
    withTop(local, { ...frame, trap: { at: trap.at, stage, ...(answer === undefined ? {} : { answer }) } });
  switch (trap.stage) {
    case 'poke': {
      if (world.mutation.takesNoReference === true) {
        const saw = publishedNow(world, shared);
        const peeked = withTop(local, { ...frame, trap: { at: trap.at, stage: 'peeked', saw } });
        return { local: saw === '' ? go('kprobe') : peeked, what: 'looks whether a vector is published' };
      }
      const memory = world.memory.get(shared.memory);
      if (memory === undefined) return { local: go('kprobe'), what: 'finds no vector' };
      const answer = askVector(world, frame, memory, trap.at);
      const wrong = answer === undefined ? undefined : playsOld(frame, shared, answer);
      if (wrong !== undefined) return wrong;
      const what = answer === undefined ? 'finds the vector without the site' : 'finds the site in the vector';
      return { local: go('held', answer), shared: { ...shared, memory }, what };
    }
    case 'peeked': {
      if (publishedNow(world, shared) !== trap.saw)
        return {
          what: 'reads the vector',
          violation: { property: 'vector-held', detail: 'the vector that the handler reads is not published any more' },
        };
      const answer = askVector(world, frame, shared.memory, trap.at);
      if (answer === undefined) return { local: go('kprobe'), what: 'finds the vector without the site' };
      return { local: withTop(local, resume(rest, answer)), what: 'is played the new instruction', serialises: true };
    }
    case 'held': {
      const after = { ...shared, memory: world.memory.put(shared.memory) };
      if (trap.answer === undefined) return { local: go('kprobe'), shared: after, what: 'drops its reference' };
      const played = resume(rest, trap.answer);
      return { local: withTop(local, played), shared: after, what: 'is played the new instruction', serialises: true };
    }
    case 'kprobe':
      return handleKprobe(world, { local, shared, frame: rest, at: trap.at });
  }
}

/** What is published, in words; '' when nothing is. */
function publishedNow(world: CpuWorld, shared: Shared): string {
  const { refs, entries } = world.memory.vectorOf(shared.memory);
  return refs === 0 ? '' : entries.map(({ at }) => hex(at)).join();
}

function askVector(world: CpuWorld, { flags }: Frame, memory: number, at: number): Resume | undefined {
  const { refs, entries } = world.memory.vectorOf(memory);
  const shown = world.mutation.vector?.(entries) ?? entries;
  const answer = pokeInt3Handler({ refs, entries: shown }, at + 1);
  if (answer.kind === 'not-ours' || answer.kind === 'not-consumed') return undefined;
  if (answer.kind !== 'jcc') return answer;
  const isTaken = jccTaken(answer.condition, flags);
  return { kind: 'jmp', target: isTaken ? answer.target : answer.next };
}

/** The handler plays the new instruction, never the old one: once the first sync is over, doing the old thing is wrong. */
function playsOld({ trap, flags }: Frame, shared: Shared, answer: Resume): Effect | undefined {
  const over = trap === undefined ? undefined : shared.over[trap.at];
  if (trap === undefined || over === undefined) return undefined;
  const [old, next] = over.map((bytes) => JSON.stringify(effectOf(Buffer.from(bytes, 'hex'), trap.at, flags)));
  if (old === next || JSON.stringify(answer) !== old) return undefined;
  const detail = `the handler plays the old instruction at ${hex(trap.at)}`;
  return { what: 'is played the old instruction', violation: { property: 'new-after-sync', detail } };
}

function handleKprobe(
  world: CpuWorld,
  {
    local,
    shared,
    frame,
    at,
  }: { readonly local: CpuLocal; readonly shared: Shared; readonly frame: Frame; readonly at: number },
): Effect {
  const owner = shared.kprobes[at];
  if (owner === undefined) {
    const detail = `nobody knows the int3 at ${hex(at)}`;
    return { what: 'asks everybody about the int3', violation: { property: 'int3-handled', detail } };
  }
  const detour = shared.detours[at];
  if (detour !== undefined)
    return {
      local: withTop(local, fire({ ...frame, rip: detour }, owner)),
      what: `runs the kprobe of ${world.layout.owners[owner]} and goes on in its detour`,
      serialises: true,
    };
  const original = world.memory.visible.fetch(0, at)[0];
  const done = original === undefined ? undefined : world.executor.execute(frame, original);
  if (done?.kind !== 'next') throw new ScenarioError(`a kprobe on an int3 at ${hex(at)}`);
  return {
    local: withTop(local, fire(done.frame, owner)),
    what: `runs the kprobe of ${world.layout.owners[owner]} and the instruction it replaced`,
    serialises: true,
  };
}

const ARENA_FROM = 0x3000_0000;

/** The generated code that would be at a place and does not exist. */
function freedAt(layout: Layout, at: number, shared: Shared): string | undefined {
  if (at < ARENA_FROM) return undefined;
  const text = layout.texts.find((each) => at >= each.at && at < each.at + each.length);
  if (text === undefined) return `the arena at ${hex(at)}`;
  return shared.absent.includes(text.spec.name) ? text.spec.name : undefined;
}

/**
 * Carries a CPU on to the next step that others can see or disturb. What it executes on the way are instructions whose bytes nobody changes, on
 * registers and a stack that nobody else sees: each commutes with every step of everybody else, so a run in which another step comes in
 * between is equal to one in which it comes before them (Lipton's movers). Interrupts commute too: they bring their own frame. What disables interrupts or
 * enables them does not, nor does what serialises.
 */
function runOn(world: CpuWorld, start: CpuLocal): CpuLocal {
  let local = start;
  for (let steps = 0; steps < LOCAL_STEPS_MAX; steps++) {
    const frame = top(local);
    if (frame.rip < 0 || frame.trap !== undefined || world.layout.builtins.has(frame.rip)) return local;
    const [bytes] = world.memory.visible.fetch(0, frame.rip);
    if (bytes === undefined || mayChange(world.layout, frame.rip, bytes.length)) return local;
    const done = world.executor.execute(frame, bytes);
    if (done.kind === 'int3' || done.isSerialised || isInterruptible(done.frame) !== isInterruptible(frame))
      return local;
    local = withTop(local, done.frame);
  }
  throw new ScenarioError('a loop that no step leaves');
}

function mayChange({ changing, texts }: Layout, at: number, length: number): boolean {
  if (!texts.some((text) => at >= text.at && at < text.at + text.length)) return true;
  return changing.some(([start, end]) => at < end && at + length > start);
}
