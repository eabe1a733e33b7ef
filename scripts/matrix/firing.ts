/** Who has to fire when the matrix's function is called, as the registry says it, and what it has to return. */
import type { CallArgument, CallOutcome, Machine } from '../../src/machine/index.ts';
import { textDelta } from '../../src/machine/index.ts';
import { describeRuntime, type Runtime, readOnly, siteFacts, type World } from '../../src/registry/index.ts';
import type { MatrixKernel } from './lab.ts';
import { FUNCTION } from './owners.ts';

/** `bpf_modify_return_test(1, &two)`: adds one to `two` and returns the sum. */
const ARGUMENTS: readonly CallArgument[] = [
  { kind: 'word', value: 1n },
  { kind: 'buffer', bytes: Uint8Array.of(2, 0, 0, 0) },
];
const RESULT = 4n;
/** What the built-in replacement of a livepatch returns. */
const PATCHED = 0x6b70n;

/** Owners that run when the function returns, by kind: not where the site's chain has them. */
const AT_RETURN = new Set(['kretprobe', 'kretprobe_multi']);

export interface Places {
  /** The function's first byte, its ftrace site, the instruction of its body that probes are at. */
  readonly start: number;
  readonly site: number;
  readonly body: number;
}

let version = 0;

export function callFunction(machine: Machine, world: World, { state, text }: MatrixKernel): CallOutcome {
  const [symbol] = world.image.symbols.byName(FUNCTION);
  if (symbol === undefined) throw new Error(`the image has no ${FUNCTION}`);
  version += 1;
  const delta = textDelta(text, text.changedRanges());
  const shown = { version, delta, runtime: describeRuntime(world, state, text) };
  const limits = { cpu: 0, maxInstructions: 1_000_000, maxMs: 10_000, traceMax: 0 };
  return machine.call(shown, { function: symbol.address, args: ARGUMENTS, ...limits });
}

interface Expected {
  /** Attachments in the order in which they fire. */
  readonly order: readonly string[];
  readonly result: bigint;
  /** Linux itself runs into nonsense (rule bpf.trampoline.hidden-endbr). */
  readonly isLinuxBug: boolean;
}

/** The replacement that runs: only the top of a stack does. */
function patchOf(runtime: Runtime, start: number): string | undefined {
  for (const { user } of runtime.ops)
    if (user.kind === 'livepatch' && user.func === start) return user.target?.attachment;
  return undefined;
}

/**
 * The chain of the ftrace site, newest first, whose fexit programs come after the body and whose return hooks come last, the oldest first: it was
 * set last. Breakpoints and probes elsewhere fire where execution meets them.
 */
function expectedFiring(world: World, { state, text }: MatrixKernel, places: Places): Expected {
  const view = readOnly(world, state, text);
  const runtime = describeRuntime(world, state, text);
  const kindOf = (id: string): string => state.attachments.get(id)?.kind ?? '';
  const top = patchOf(runtime, places.start);
  const probesDie = world.image.symbols.offsetOf('kprobe_ftrace_kill') !== undefined;
  const isProbe = (id: string): boolean => kindOf(id) === 'kprobe' || kindOf(id) === 'kretprobe';
  // kprobe_ftrace_kill, where the kernel has it: probes at function entries died with ftrace.
  const runs = (id: string): boolean =>
    (kindOf(id) !== 'livepatch' || id === top) && !(state.ftrace.isDisabled && probesDie && isProbe(id));
  const chain = siteFacts(view, places.site).chain.filter(runs);
  const isDeadly = runtime.ops.findIndex((ops) => ops.func === undefined);
  if (isDeadly >= 0) {
    const newer = new Set(
      runtime.ops.slice(0, isDeadly).flatMap(({ user }) => ('attachment' in user ? [user.attachment] : [])),
    );
    return { order: chain.filter((id) => newer.has(id)), result: RESULT, isLinuxBug: false };
  }
  // A trampoline that was made while a breakpoint hid the ENDBR goes on five bytes behind the start, in the middle of the ftrace site.
  const hidden = [...state.attachments.values()].find((each) => each.kind === 'kgdb' && each.sites[0] === places.start);
  const isLinuxBug =
    hidden !== undefined &&
    places.start !== places.site &&
    runtime.programs.some(
      (each) => each.callsOriginal && (state.attachments.get(each.attachment)?.sequence ?? 0) > hidden.sequence,
    );
  const entry = chain.filter((id) => !AT_RETURN.has(kindOf(id)) && kindOf(id) !== 'fexit');
  const others = [...new Set([places.start, places.body])].filter((at) => at !== places.site);
  const at = (place: number): readonly string[] => (others.includes(place) ? siteFacts(view, place).chain : []);
  return {
    order: [
      ...at(places.start),
      ...entry,
      ...(top === undefined ? at(places.body) : []),
      ...chain.filter((id) => kindOf(id) === 'fexit'),
      ...chain.filter((id) => AT_RETURN.has(kindOf(id))).reverse(),
    ],
    result: top === undefined ? RESULT : PATCHED,
    isLinuxBug,
  };
}

/** What is wrong with a call; empty when the owners that the registry names fired, in its order, and the result is theirs. */
export function firingProblems(
  machine: Machine,
  world: World,
  kernel: MatrixKernel,
  places: Places,
): readonly string[] {
  const outcome = callFunction(machine, world, kernel);
  const { end, fired, counted } = outcome;
  const { order, result, isLinuxBug } = expectedFiring(world, kernel, places);
  if (isLinuxBug && world.strictness === 'linux') return [];
  if (end.kind !== 'returned') {
    const why = end.kind === 'fault' ? `${end.fault.name}: ${end.fault.detail}` : end.exceeded;
    return [`the call does not return: ${end.kind} ${why}`];
  }
  const problems: string[] = [];
  const actual = fired.map(({ attachment }) => attachment);
  if (actual.join() !== order.join()) problems.push(`fired ${actual.join() || 'none'}, not ${order.join() || 'none'}`);
  if (end.value !== result) problems.push(`returned ${end.value}, not ${result}`);
  for (const { attachment, count } of counted) {
    const times = fired.filter((each) => each.attachment === attachment).length;
    if (BigInt(times) !== count) problems.push(`${attachment} counted ${count} and fired ${times} times`);
  }
  return problems;
}
