/** Random requests over few places, so that owners meet. */
import fc from 'fast-check';
import type { AttachRequest, Coordinator, OwnerKind } from '../../src/coordinator/index.ts';

/** Places of one function: its entry and the instructions of its body, as offsets. */
export interface FunctionPlaces {
  readonly name: string;
  readonly size: number;
  readonly instructions: readonly number[];
}

export function placesOf(coordinator: Coordinator, name: string): FunctionPlaces | undefined {
  const symbol = coordinator.symbol(name);
  if (!symbol.ok || !/^[tTwW]$/.test(symbol.value.type)) return undefined;
  const size = Math.min(symbol.value.size, 256);
  const text = coordinator.text(name, size);
  if (!text.ok) return undefined;
  const instructions = text.value.instructions.map((insn) =>
    Number(BigInt(insn.address) - BigInt(symbol.value.address)),
  );
  return { name, size, instructions };
}

/** What owners do. */
export type OwnerAction =
  | { readonly kind: 'attach'; readonly request: RandomRequest }
  | { readonly kind: 'detach'; readonly which: number }
  | { readonly kind: 'setEnabled'; readonly which: number; readonly enabled: boolean }
  /** The kprobe optimizer's turn. */
  | { readonly kind: 'optimize' }
  | { readonly kind: 'optimization'; readonly value: 0 | 1 };

export type Action =
  | OwnerAction
  | { readonly kind: 'force'; readonly which: number }
  | { readonly kind: 'task'; readonly task: RandomTask }
  | { readonly kind: 'moveTask'; readonly which: number; readonly task: Pick<RandomTask, 'stack' | 'state'> }
  | { readonly kind: 'endTask'; readonly which: number }
  /** Time for one attempt of a transition's worker. */
  | { readonly kind: 'wait' };

export interface RandomTask {
  readonly kind: 'user' | 'kthread' | 'idle';
  readonly state: 'running' | 'interruptible' | 'uninterruptible' | undefined;
  readonly isReliable: boolean;
  /** Functions, or places in them. */
  readonly stack: readonly { readonly func: number; readonly at: RandomRequest['at'] }[];
}

/** Numbers stand for functions and instructions until the run says which functions it has. */
export interface RandomRequest {
  readonly kind: OwnerKind;
  readonly options: Readonly<Record<string, unknown>>;
  readonly func: number;
  readonly at:
    | { readonly kind: 'entry' }
    | { readonly kind: 'instruction'; readonly index: number }
    | { readonly kind: 'byte'; readonly offset: number };
  readonly moreFuncs: readonly number[];
  /** Instead of a function: what this kind has names of its own for. */
  readonly target: string | undefined;
}

const flags = (...names: readonly string[]): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .tuple(...names.map((name) => fc.record({ name: fc.constant(name), value: fc.option(fc.boolean()) })))
    .map((all) => Object.fromEntries(all.filter((each) => each.value !== null).map((each) => [each.name, each.value])));

const at: fc.Arbitrary<RandomRequest['at']> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ kind: 'entry' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('instruction' as const), index: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('byte' as const), offset: fc.nat(15) }) },
);

const entryOnly = fc.constant({ kind: 'entry' as const });
const func = fc.nat(2);

type Options = RandomRequest['options'];

const none: fc.Arbitrary<Options> = fc.constant({});
const mostlyEntry = fc.oneof({ weight: 9, arbitrary: entryOnly }, at);
const oneFunc = fc.constant<readonly number[]>([]);
const moreFuncs = fc.oneof({ weight: 2, arbitrary: oneFunc }, fc.array(func, { minLength: 1, maxLength: 3 }));
const via = fc.constantFrom({}, {}, {}, { via: 'perf' }, { via: 'tracefs' });

interface Shape {
  readonly weight: number;
  readonly options?: fc.Arbitrary<Options>;
  readonly at?: fc.Arbitrary<RandomRequest['at']>;
  readonly moreFuncs?: fc.Arbitrary<readonly number[]>;
  readonly targets?: readonly string[];
}

const bpf = (weight: number): Shape => ({
  weight,
  options: fc.record(
    {
      cookie: fc.nat(),
      sleepable: fc.constantFrom(false, false, true),
      layout: fc.constantFrom('linux', 'linux', 'linux', 'seed'),
    },
    { requiredKeys: [] },
  ),
});

/** Every kind that is built, and how often it is asked for. */
export const SHAPES: Readonly<Partial<Record<OwnerKind, Shape>>> = {
  kprobe: {
    weight: 8,
    at,
    options: fc.oneof({ weight: 3, arbitrary: flags('postHandler', 'optimize') }, via),
  },
  kretprobe: {
    weight: 2,
    at,
    options: fc.oneof(via, fc.record({ maxActive: fc.integer({ min: 1, max: 4096 }) }, { requiredKeys: [] })),
  },
  kprobe_multi: { weight: 1, moreFuncs },
  kretprobe_multi: { weight: 1, moreFuncs },
  fprobe: { weight: 2, moreFuncs },
  ftrace: {
    weight: 6,
    moreFuncs,
    options: fc.oneof(
      { weight: 3, arbitrary: flags('saveRegs', 'ipmodify', 'recursion') },
      fc.record({ tracer: fc.constantFrom('function', 'function_graph') }),
    ),
  },
  ftrace_direct: { weight: 3, options: flags('sharesIpmodify') },
  fentry: bpf(6),
  fexit: bpf(4),
  fmod_ret: bpf(2),
  lsm: {
    weight: 1,
    // Hooks of a real kernel, one that returns a verdict and one that returns nothing; the built-in kernel has neither.
    targets: ['bpf_lsm_file_open', 'bpf_lsm_file_free_security'],
    options: fc.record({ cookie: fc.nat(), sleepable: fc.boolean() }, { requiredKeys: [] }),
  },
  // Which program it is depends on who is attached by then.
  freplace: { weight: 2, targets: ['prog:0', 'prog:1', 'prog:2', 'prog:3'] },
  livepatch: {
    weight: 4,
    moreFuncs,
    options: fc.record(
      {
        patch: fc.constantFrom('one', 'two'),
        replace: fc.constantFrom(false, false, true),
        replacement: fc.constantFrom('gcd', 'bpf_fentry_test1'),
      },
      { requiredKeys: [] },
    ),
  },
  jump_label: {
    weight: 3,
    targets: [
      'bpf_stats_enabled_key',
      'sched_schedstats',
      '__tracepoint_sched_switch',
      '__tracepoint_inet_sock_set_state',
    ],
    options: flags('enabled'),
  },
  static_call: {
    weight: 3,
    targets: ['cond_resched', '__SCT__might_resched', 'preempt_schedule', 'tp_func_sched_switch'],
    options: fc.record(
      { to: fc.constantFrom('gcd', '__cond_resched', '__static_call_return0', 'NULL') },
      { requiredKeys: [] },
    ),
  },
  tracepoint: {
    weight: 3,
    targets: ['sched_switch', 'inet_sock_set_state'],
    options: fc.record({ probe: fc.constant('gcd') }, { requiredKeys: [] }),
  },
  kgdb: { weight: 3, at },
};

const request: fc.Arbitrary<RandomRequest> = fc.oneof(
  ...Object.entries(SHAPES).map(([kind, shape]) => ({
    weight: shape.weight,
    arbitrary: fc.record({
      kind: fc.constant(kind as OwnerKind),
      options: shape.options ?? none,
      func,
      at: shape.at ?? mostlyEntry,
      moreFuncs: shape.moreFuncs ?? oneFunc,
      target: shape.targets === undefined ? fc.constant(undefined) : fc.constantFrom(...shape.targets),
    }),
  })),
);

const movement = {
  state: fc.constantFrom(
    undefined,
    undefined,
    'running' as const,
    'interruptible' as const,
    'uninterruptible' as const,
  ),
  stack: fc.array(fc.record({ func, at: mostlyEntry }), { maxLength: 3 }),
};
const task = fc.record({
  kind: fc.constantFrom('user' as const, 'user' as const, 'kthread' as const, 'idle' as const),
  isReliable: fc.constantFrom(true, true, true, false),
  ...movement,
});
const which = fc.nat(40);

/** What tasks and transitions do; rare beside attaching and detaching. */
const taskAction: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant('task' as const), task }),
  fc.record({ kind: fc.constant('moveTask' as const), which, task: fc.record(movement) }),
  fc.record({ kind: fc.constant('endTask' as const), which }),
  fc.record({ kind: fc.constant('wait' as const) }),
  fc.record({ kind: fc.constant('force' as const), which }),
);

export const ownerAction: fc.Arbitrary<OwnerAction> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('attach' as const), request }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('detach' as const), which: fc.nat(40) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('setEnabled' as const), which: fc.nat(40), enabled: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'optimize' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('optimization' as const), value: fc.constantFrom(0 as const, 1, 1) }),
  },
);

export const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 11, arbitrary: ownerAction },
  { weight: 2, arbitrary: taskAction },
);

const pick = <T>(all: readonly T[], index: number): T => all[index % all.length] as T;

function placeText(where: FunctionPlaces, place: RandomRequest['at']): string {
  const offset =
    place.kind === 'entry' ? 0 : place.kind === 'byte' ? place.offset : pick([0, ...where.instructions], place.index);
  return offset === 0 ? where.name : `${where.name}+0x${offset.toString(16)}`;
}

export const stackOf = (stack: RandomTask['stack'], functions: readonly FunctionPlaces[]): readonly string[] =>
  stack.map(({ func: which, at: place }) => placeText(pick(functions, which), place));

export function concrete(random: RandomRequest, functions: readonly FunctionPlaces[]): AttachRequest {
  if (random.target !== undefined) return { kind: random.kind, target: random.target, options: random.options };
  const first = placeText(pick(functions, random.func), random.at);
  const more = random.moreFuncs.map((index) => pick(functions, index).name);
  return { kind: random.kind, target: more.length === 0 ? first : [first, ...more], options: random.options };
}
