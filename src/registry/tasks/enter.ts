import { err, ok, type Result } from '../../base/index.ts';
import { locateProgram, parseProgramPlace } from '../bpf/programs.ts';
import { allLinks } from '../bpf/trampoline.ts';
import { klpHandlerTarget } from '../livepatch/stack.ts';
import type { BpfTrampoline, Task, TaskFrame } from '../model/state.ts';
import { locate, parsePlace } from '../place.ts';
import { refuse } from '../rules/rule.ts';
import { TASK_PLACE } from '../rules/task.ts';
import type { Txn } from '../txn.ts';

/**
 * Where a call that is made now arrives. A function that is named without an offset is called, so a livepatch sends the task to its
 * replacement, by the task's own patch state; any other place is where the task is, whatever the function's entry says.
 */
function arrival(txn: Txn, task: Pick<Task, 'patchState'>, at: number, isCall: boolean): number {
  const patched = isCall ? txn.livepatches.get(at) : undefined;
  return (patched === undefined ? undefined : klpHandlerTarget(txn, patched, task.patchState)) ?? at;
}

/** The image that a program or a traced function was called by, if that image waits for it to return. */
function imageAround(trampoline: BpfTrampoline | undefined): number | undefined {
  return trampoline?.image?.teardown === undefined ? undefined : trampoline.image.at;
}

const calling = (txn: Txn, entry: number): BpfTrampoline | undefined =>
  txn.trampolines.find((each) => allLinks(each).some((link) => link.entry === entry));

type Arrival = Pick<TaskFrame, 'at' | 'image' | 'reads'>;

/** In a BPF program: between __bpf_prog_enter and __bpf_prog_exit. */
function inProgram(txn: Txn, text: string): Arrival | undefined {
  const place = parseProgramPlace(text);
  const at = place === undefined ? undefined : locateProgram(txn, place);
  const program = place === undefined ? undefined : txn.bpfProgs.get(place.id);
  if (place === undefined || at === undefined || program === undefined) return undefined;
  const reads = program.isSleepable ? 'rcu_tasks_trace' : 'rcu';
  return { at, image: imageAround(calling(txn, at - place.delta)), reads };
}

/** Code of attachments where tasks may sleep. */
const SLEEPS = new Set(['livepatch_replacement']);

/** At an address of generated code that is reached from somewhere. */
function inGenerated(txn: Txn, at: number): Arrival | undefined {
  const allocation = txn.arena.allocations.find((each) => at >= each.at && at < each.at + each.bytes.length);
  if (allocation === undefined || txn.lingering.has(allocation.at)) return undefined;
  const trampoline = txn.trampolines.find(({ image }) => image?.at === allocation.at);
  if (trampoline !== undefined)
    return {
      at,
      image: imageAround(trampoline),
      reads: imageAround(trampoline) === undefined ? 'rcu_tasks' : undefined,
    };
  const program = txn.bpfProgs.find(({ functions }) => functions.some((each) => each.allocation === allocation.at));
  const entry = program?.functions.find((each) => at >= each.at && at < each.at + each.size)?.at;
  if (program !== undefined && entry !== undefined)
    return { at, image: imageAround(calling(txn, entry)), reads: program.isSleepable ? 'rcu_tasks_trace' : 'rcu' };
  const { what } = allocation;
  return {
    at,
    image: undefined,
    reads: SLEEPS.has(what) ? undefined : what === 'tracepoint_probe' ? 'rcu' : 'rcu_tasks',
  };
}

/** In a function, which may be traced. */
function inFunction(txn: Txn, task: Pick<Task, 'patchState'>, text: string): Arrival | undefined {
  const place = parsePlace(text);
  const at = place === undefined ? undefined : locate(txn.world, place);
  if (place === undefined || at === undefined || !txn.text.contains(at, 1)) return undefined;
  if (!txn.world.pristine.contains(at, 1)) return inGenerated(txn, at);
  const func = txn.world.image.symbols.containing(at)?.offset;
  const isCall = place.kind === 'symbol' && place.delta === 0;
  const trampoline = func === undefined ? undefined : txn.trampolines.get(func);
  return { at: arrival(txn, task, at, isCall), image: imageAround(trampoline), reads: undefined };
}

function frame(txn: Txn, task: Pick<Task, 'patchState'>, text: string, index: number): Result<TaskFrame> {
  const arrived = inProgram(txn, text) ?? inFunction(txn, task, text);
  if (arrived === undefined)
    return err(refuse(TASK_PLACE, { detail: `${JSON.stringify(text)} is not a place in text.`, index }));
  const serial = txn.nextFrame;
  txn.nextFrame += 1;
  return ok({ serial, text, ...arrived });
}

/**
 * The stack that a task has when it is said to be in these calls, innermost first. Calls that it was in before, counted from the outermost, it is
 * still in; the others it makes now.
 */
export function enterStack(
  txn: Txn,
  task: Pick<Task, 'patchState' | 'stack'>,
  wanted: readonly string[],
): Result<readonly TaskFrame[]> {
  const before = [...task.stack].reverse();
  const outermostFirst: TaskFrame[] = [];
  for (const [depth, text] of [...wanted].reverse().entries()) {
    const kept = before[depth];
    if (
      kept?.text === text &&
      outermostFirst.length === depth &&
      outermostFirst.every((each, i) => each === before[i])
    ) {
      outermostFirst.push(kept);
      continue;
    }
    const entered = frame(txn, task, text, wanted.length - 1 - depth);
    if (!entered.ok) return entered;
    outermostFirst.push(entered.value);
  }
  return ok(outermostFirst.reverse());
}
