/**
 * Histories of owners and of tasks that are in generated code while it is let go, and an account of their own of who may be where: from places
 * of tasks alone, without grace periods. Code that is freed while somebody may be in it is reported.
 */
import fc from 'fast-check';
import type { Task, TaskRequest } from '../../src/registry/index.ts';
import type { RegistryLab } from '../support/registry-lab.ts';

const FUNCTIONS = ['tcp_set_state', 'vfs_read', 'do_mmap'] as const;

type Request = readonly [kind: Parameters<RegistryLab['attach']>[0], options: Readonly<Record<string, unknown>>];

const REQUESTS: readonly Request[] = [
  ['fentry', {}],
  ['fentry', { layout: 'seed' }],
  ['fexit', {}],
  ['fexit', {}],
  ['ftrace', {}],
  ['ftrace', { ipmodify: true }],
  ['kprobe', {}],
  ['kprobe', { postHandler: true }],
  ['ftrace_direct', {}],
  ['livepatch', { patch: 'one' }],
];

const ON_PROGRAMS = ['fentry', 'fexit', 'freplace'] as const;

export type Step =
  | { readonly kind: 'attach'; readonly request: number; readonly func: number }
  /** Of somebody else's program. */
  | { readonly kind: 'on-program'; readonly request: number; readonly which: number }
  | { readonly kind: 'in-body'; readonly func: number }
  | { readonly kind: 'tracepoint' }
  | { readonly kind: 'detach'; readonly which: number }
  | { readonly kind: 'task'; readonly task: Pick<TaskRequest, 'kind' | 'state'>; readonly places: readonly number[] }
  | { readonly kind: 'move'; readonly which: number; readonly state: Task['state']; readonly places: readonly number[] }
  | { readonly kind: 'end'; readonly which: number };

const state = fc.constantFrom<Task['state']>('running', 'running', 'uninterruptible');
const places = fc.array(fc.nat(10_000), { maxLength: 3 });
const which = fc.nat(20);
const func = fc.nat(FUNCTIONS.length - 1);

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('attach' as const), request: fc.nat(REQUESTS.length - 1), func }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('on-program' as const), request: fc.nat(2), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('in-body' as const), func }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'tracepoint' as const }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('detach' as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('task' as const),
      task: fc.record({ kind: fc.constantFrom('user' as const, 'kthread' as const), state }),
      places,
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('move' as const), which, state, places }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), which }) },
);

/** One piece of generated code, from when it is there until its room is int3 again. */
interface Piece {
  readonly at: number;
  readonly what: string;
  readonly bytes: Uint8Array;
}

interface Stay {
  /** Pieces that the task is in, or will come back to, by call. */
  readonly calls: Map<number, ReadonlySet<Piece>>;
  /** Pieces that it may be about to enter, or about to leave, at this moment: it has been running since they could be reached. */
  passing: Set<Piece>;
}

const isRunning = (task: Task): boolean => task.state === 'running' && task.stack.length > 0;
/** Entered and left between rcu_read_lock and rcu_read_unlock, or their like: nobody is on the way to it outside of what says so itself. */
const isGuarded = ({ what }: Piece): boolean => /^(bpf_prog|tracepoint_probe)/.test(what);

export class CodeLifetimes {
  readonly #lab: RegistryLab;
  readonly #live: string[] = [];
  readonly #tasks: string[] = [];
  readonly #stays = new Map<string, Stay>();
  /** Pieces that were let go while somebody was in them, and then freed. */
  waited = 0;
  readonly #lingered = new Set<Piece>();

  constructor(lab: RegistryLab) {
    this.#lab = lab;
  }

  #pieces(): ReadonlySet<Piece> {
    return new Set(this.#lab.state.arena.allocations.values());
  }

  /** Does the step; what was freed too early, in words. */
  act(step: Step): string | undefined {
    const before = this.#pieces();
    this.#do(step);
    const after = this.#pieces();
    for (const piece of before) {
      if (after.has(piece)) {
        if (this.#lab.state.lingering.has(piece.at)) this.#lingered.add(piece);
        continue;
      }
      const inside = this.#whoIsIn(piece);
      if (inside !== undefined) return `[${piece.what}] was freed while ${inside} may be in it`;
      if (this.#lingered.delete(piece)) this.waited += 1;
    }
    this.#look(after);
    return undefined;
  }

  /** Whoever was in a piece before the step and has not left by it. */
  #whoIsIn(piece: Piece): string | undefined {
    for (const [id, { calls, passing }] of this.#stays) {
      const task = this.#lab.state.tasks.get(id);
      if (task === undefined) continue;
      if (isRunning(task) && passing.has(piece)) return `${id}, running all the time,`;
      for (const { serial } of task.stack) if (calls.get(serial)?.has(piece)) return id;
    }
    return undefined;
  }

  /** Where everybody is after the step. */
  #look(pieces: ReadonlySet<Piece>): void {
    const { tasks, lingering } = this.#lab.state;
    for (const id of this.#stays.keys()) if (!tasks.has(id)) this.#stays.delete(id);
    const reachable = [...pieces].filter((piece) => !lingering.has(piece.at) && !isGuarded(piece));
    for (const task of tasks.values()) {
      const old = this.#stays.get(task.id);
      const stay: Stay = old ?? { calls: new Map(), passing: new Set() };
      this.#stays.set(task.id, stay);
      for (const { serial, at, image } of task.stack) {
        if (stay.calls.has(serial)) continue;
        const inside = [...pieces].filter(
          (each) => (at >= each.at && at < each.at + each.bytes.length) || each.at === image,
        );
        stay.calls.set(serial, new Set(inside));
      }
      // Who has just begun to run is in no code that was let go before.
      stay.passing = isRunning(task) ? new Set([...stay.passing, ...reachable]) : new Set();
    }
  }

  #do(step: Step): void {
    switch (step.kind) {
      case 'attach': {
        const [kind, options] = REQUESTS[step.request] as Request;
        this.#attach(kind, FUNCTIONS[step.func] as string, options);
        break;
      }
      case 'on-program':
        this.#attach(ON_PROGRAMS[step.request] ?? 'fentry', `prog:${this.#live[this.#one(step.which, this.#live)]}`);
        break;
      case 'in-body':
        this.#attach('kprobe', `${FUNCTIONS[step.func]}+0x9`);
        break;
      case 'tracepoint':
        this.#attach('tracepoint', 'sched_switch');
        break;
      case 'detach': {
        const [id] = this.#live.splice(this.#one(step.which, this.#live), 1);
        if (id !== undefined && this.#lab.detach(id).outcome.kind === 'refused') this.#live.push(id);
        break;
      }
      case 'task':
        this.#newTask(step);
        break;
      case 'move':
        this.#move(step);
        break;
      case 'end': {
        const [id] = this.#tasks.splice(this.#one(step.which, this.#tasks), 1);
        if (id !== undefined) this.#lab.endTask(id);
        break;
      }
    }
  }

  #one(which: number, of: readonly unknown[]): number {
    return which % Math.max(1, of.length);
  }

  #attach(kind: Request[0], target: string, options: Request[1] = {}): void {
    const { outcome } = this.#lab.decide({ kind, target, options });
    if (outcome.kind === 'granted') this.#live.push(outcome.attachment.id);
  }

  /** Functions, programs, and places in generated code. */
  #stack(numbers: readonly number[]): readonly string[] {
    const pieces = [...this.#lab.state.arena.allocations.values()];
    return numbers.map((number) => {
      const choice = number % 3;
      const piece = pieces[number % Math.max(1, pieces.length)];
      if (choice === 0 || piece === undefined) return FUNCTIONS[number % FUNCTIONS.length] as string;
      const program = this.#live[number % Math.max(1, this.#live.length)];
      if (choice === 1 && program !== undefined) return `prog:${program}`;
      return this.#lab.address(piece.at + (number % piece.bytes.length));
    });
  }

  #newTask({ task, places: at }: Extract<Step, { kind: 'task' }>): void {
    const made = this.#lab.tryTask(this.#stack(at), task);
    if (made.kind === 'granted') this.#tasks.push(made.task.id);
  }

  #move({ which: index, state: next, places: at }: Extract<Step, { kind: 'move' }>): void {
    const id = this.#tasks[index % Math.max(1, this.#tasks.length)];
    if (id !== undefined) this.#lab.moveTask(id, { state: next, stack: this.#stack(at) });
  }

  /** Everybody leaves: what is freed too early, in words. */
  leave(): string | undefined {
    while (this.#live.length > 0) {
      const left = this.#live.length;
      const found = this.act({ kind: 'detach', which: 0 });
      if (found !== undefined) return found;
      this.#lab.attempts(1);
      if (this.#live.length === left && this.#tasks.length > 0) {
        const ended = this.act({ kind: 'end', which: 0 });
        if (ended !== undefined) return ended;
      }
    }
    while (this.#tasks.length > 0) {
      const found = this.act({ kind: 'end', which: 0 });
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
