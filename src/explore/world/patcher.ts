import { InvariantViolation, invariant } from '../../base/index.ts';
import type { TextStore } from '../../cpu/index.ts';
import { LOCK_CHAINS, type PatcherSpec, type Property, READ_LOCKS } from '../scenario/scenario.ts';
import { Interner } from './intern.ts';
import { type Answers, type Intent, type ProgramContext, type ProgramPhase, runProgram } from './program.ts';
import { type Shared, withEntry, withoutEntry } from './shared.ts';
import type { MemoryId, TextMemory } from './text-memory.ts';

/** Where a patcher stands: number of a node of the tree of what it has done. */
export type NodeId = number;

interface Node {
  /** What it did last, and may have to wait for. Undefined before the first step. */
  readonly phase: ProgramPhase | undefined;
  /** What the text was before each step that led here, and what it was told: by these the generator is run again up to here. */
  readonly path: readonly PathStep[];
  /** What it is replacing, by place. */
  readonly intents: Readonly<Record<number, Intent>>;
}

interface PathStep {
  readonly memory: MemoryId;
  readonly hasLock: boolean;
}

/** What a step of a patcher does to the CPUs. */
export interface Broadcast {
  readonly stores: readonly TextStore[];
  readonly isIpi: boolean;
  readonly waitFor: string | undefined;
  readonly detaching: string | undefined;
}

export interface PatcherOutcome {
  readonly node: NodeId;
  readonly shared: Shared;
  readonly broadcast: Broadcast | undefined;
  readonly violation: { readonly property: Property; readonly detail: string } | undefined;
  readonly what: string;
}

/**
 * One patcher as an automaton whose steps are those of the real generators. A generator cannot be copied, so to step it from some earlier state it is made
 * anew and run through what led there; which step follows which is then remembered. That is sound because a generator keeps nothing that its
 * phases and the text do not show: same phases before, same text and vector now, same step.
 */
export class Patcher {
  readonly #index: number;
  readonly #spec: PatcherSpec;
  readonly #memory: TextMemory;
  readonly #context: ProgramContext;
  readonly #nodes: Node[] = [{ phase: undefined, path: [], intents: {} }];
  readonly #ids = new Interner<string>((key) => key);
  /** The generator that was stepped last, and where it stands. */
  #live: (Live & { node: NodeId }) | undefined;

  constructor(options: {
    readonly index: number;
    readonly spec: PatcherSpec;
    readonly memory: TextMemory;
    readonly context: ProgramContext;
  }) {
    this.#index = options.index;
    this.#spec = options.spec;
    this.#memory = options.memory;
    this.#context = options.context;
    this.#ids.id('');
  }

  static readonly START: NodeId = 0;

  phaseOf(node: NodeId): ProgramPhase | undefined {
    return this.#nodes[node]?.phase;
  }

  isEnd(node: NodeId): boolean {
    return this.#nodes[node]?.phase?.kind === 'end';
  }

  /** False when what it did last keeps it from going on; what depends on CPUs (syncs, grace periods) is for the world to say. */
  mayGoOn(node: NodeId, shared: Shared): boolean {
    const phase = this.phaseOf(node);
    if (phase?.kind === 'end') return false;
    if (phase?.kind === 'lock') return this.#isFree(phase.lock, shared);
    if (phase?.kind === 'unpublish') return this.#memory.vectorOf(shared.memory).refs === 0;
    return true;
  }

  step(node: NodeId, shared: Shared): PatcherOutcome {
    const from = this.#nodes[node];
    invariant(from !== undefined, () => `no node ${node}`);
    const granted = this.#grant(from, shared);
    if ('violation' in granted) return granted;
    try {
      return this.#advance(node, from, granted);
    } catch (error) {
      this.#live = undefined;
      if (!(error instanceof InvariantViolation)) throw error;
      return this.#failed(node, shared, 'invariants', error.message);
    }
  }

  /** What had to be waited for has come. */
  #grant(from: Node, shared: Shared): Granted | PatcherOutcome {
    const { phase } = from;
    if (phase?.kind === 'lock') {
      const { lock } = phase;
      const mine = Object.keys(shared.locks).filter((other) => this.#has(other, shared));
      const first = mine.find((other) => LOCK_CHAINS.some((chain) => isBefore(chain, lock, other)));
      if (first !== undefined)
        return this.#failed(0, shared, 'lock-order', `${lock} is taken under ${first}, which comes after it`);
      return { shared: this.#take(lock, shared), hasLock: true };
    }
    // Who does not wait can be in nobody's way, so the order does not bind a trylock.
    if (phase?.kind === 'trylock') {
      const hasLock = this.#isFree(phase.lock, shared);
      return { shared: hasLock ? this.#take(phase.lock, shared) : shared, hasLock };
    }
    if (phase?.kind === 'sync' && phase.after === 'int3') {
      let over = shared.over;
      for (const { at } of this.#memory.vectorOf(shared.memory).entries) {
        const intent = from.intents[at];
        if (intent !== undefined) over = withEntry(over, at, [intent.old, intent.new] as const);
      }
      return { shared: { ...shared, over }, hasLock: false };
    }
    return { shared, hasLock: false };
  }

  #has(lock: string, { locks }: Shared): boolean {
    return ((locks[lock] ?? 0) & (1 << this.#index)) !== 0;
  }

  /** A writer has claimed its lock before it waits for the readers. */
  #isFree(lock: string, shared: Shared): boolean {
    const writer = READ_LOCKS[lock];
    if (writer !== undefined) return shared.locks[writer] === undefined;
    const reader = Object.keys(READ_LOCKS).find((each) => READ_LOCKS[each] === lock);
    if (reader === undefined) return shared.locks[lock] === undefined;
    return shared.locks[reader] === undefined && (shared.locks[lock] === undefined || this.#has(lock, shared));
  }

  #take(lock: string, shared: Shared): Shared {
    return { ...shared, locks: withEntry(shared.locks, lock, (shared.locks[lock] ?? 0) | (1 << this.#index)) };
  }

  #release(lock: string, shared: Shared): Shared {
    const rest = (shared.locks[lock] ?? 0) & ~(1 << this.#index);
    return { ...shared, locks: rest === 0 ? withoutEntry(shared.locks, lock) : withEntry(shared.locks, lock, rest) };
  }

  #advance(node: NodeId, from: Node, { shared, hasLock }: Granted): PatcherOutcome {
    const { generator, answers } = this.#generatorAt(node, from);
    answers.hasLock = hasLock;
    const path = [...from.path];
    const intents = { ...from.intents };
    this.#memory.restore(shared.memory);
    for (;;) {
      path.push({ memory: shared.memory, hasLock });
      const step = generator.next();
      invariant(step.done !== true, 'a program ran beyond its end');
      if (step.value.kind !== 'intend' && step.value.kind !== 'done')
        return this.#arrived({ node, shared, hasLock, phase: step.value, path, intents });
      if (step.value.kind === 'intend') for (const intent of step.value.pokes) intents[intent.at] = intent;
    }
  }

  #generatorAt(node: NodeId, { path }: Node): Live {
    if (this.#live?.node === node) return this.#live;
    const answers: Answers = { hasLock: false };
    const generator = runProgram(this.#context, this.#spec, answers);
    for (const { memory, hasLock } of path) {
      this.#memory.restore(memory);
      answers.hasLock = hasLock;
      generator.next();
    }
    this.#live = { generator, answers, node };
    return this.#live;
  }

  #arrived(step: {
    readonly node: NodeId;
    readonly shared: Shared;
    readonly hasLock: boolean;
    readonly phase: ProgramPhase;
    readonly path: readonly PathStep[];
    readonly intents: Readonly<Record<number, Intent>>;
  }): PatcherOutcome {
    const { node } = step;
    // How many readers there were when it looked does not matter: it goes on when there are none.
    const phase: ProgramPhase = step.phase.kind === 'unpublish' ? { kind: 'unpublish', refs: 0 } : step.phase;
    const { memory, stores } = this.#memory.changedFrom(step.shared.memory);
    const key = `${node}>${step.hasLock}>${JSON.stringify(phase)}`;
    const next = this.#ids.id(key);
    this.#nodes[next] ??= { phase, path: step.path, intents: step.intents };
    if (this.#live !== undefined) this.#live.node = next;
    const shared = this.#after({ ...step.shared, memory }, phase);
    if (stores.length > 0 && !this.#has('text_mutex', shared))
      return this.#failed(next, shared, 'text-mutex', `${describePhase(phase)} without text_mutex`);
    if (phase.kind === 'mismatch')
      return this.#failed(next, shared, 'no-mismatch', `${phase.expected} expected, ${phase.actual} found`);
    return {
      node: next,
      shared,
      broadcast: broadcastOf(phase, stores),
      violation: undefined,
      what: describePhase(phase),
    };
  }

  #after(shared: Shared, phase: ProgramPhase): Shared {
    switch (phase.kind) {
      case 'publish': {
        let { over } = shared;
        for (const { at } of this.#memory.vectorOf(shared.memory).entries) over = withoutEntry(over, at);
        return { ...shared, over };
      }
      case 'lock':
        // percpu_down_write: from here on no reader gets in, and then it waits for those that are.
        return Object.values(READ_LOCKS).includes(phase.lock) && shared.locks[phase.lock] === undefined
          ? this.#take(phase.lock, shared)
          : shared;
      case 'unlock':
        return this.#release(phase.lock, shared);
      case 'set':
        return { ...shared, variables: withEntry(shared.variables, phase.variable, phase.value) };
      case 'attached':
        return { ...shared, attached: shared.attached | (1 << this.#owner(phase.owner)) };
      case 'detaching':
        return { ...shared, attached: shared.attached & ~(1 << this.#owner(phase.owner)) };
      case 'add-kprobe':
        return { ...shared, kprobes: withEntry(shared.kprobes, phase.at, this.#owner(phase.owner)) };
      case 'del-kprobe':
        return {
          ...shared,
          kprobes: withoutEntry(shared.kprobes, phase.at),
          detours: withoutEntry(shared.detours, phase.at),
        };
      case 'detour-kprobe':
        return { ...shared, detours: withEntry(shared.detours, phase.at, phase.target) };
      case 'copied':
        return { ...shared, absent: shared.absent.filter((name) => name !== phase.name) };
      case 'freed':
        return { ...shared, absent: [...shared.absent, phase.name].sort() };
      default:
        return shared;
    }
  }

  #owner(name: string): number {
    return this.#context.layout.owners.indexOf(name);
  }

  #failed(node: NodeId, shared: Shared, property: Property, detail: string): PatcherOutcome {
    return { node, shared, broadcast: undefined, violation: { property, detail }, what: detail };
  }
}

interface Granted {
  readonly shared: Shared;
  readonly hasLock: boolean;
}

/** A generator, and what is told to it. */
interface Live {
  readonly generator: Generator<ProgramPhase, void, undefined>;
  readonly answers: Answers;
}

const isBefore = (chain: readonly string[], a: string, b: string): boolean =>
  chain.includes(a) && chain.includes(b) && chain.indexOf(a) < chain.indexOf(b);

function broadcastOf(phase: ProgramPhase, stores: readonly TextStore[]): Broadcast | undefined {
  const isIpi = phase.kind === 'sync';
  const waitFor = phase.kind === 'wait' ? phase.for : undefined;
  const detaching = phase.kind === 'detaching' ? phase.owner : undefined;
  if (stores.length === 0 && !isIpi && waitFor === undefined && detaching === undefined) return undefined;
  return { stores, isIpi, waitFor, detaching };
}

const place = (at: number): string => `0x${at.toString(16)}`;

/** A phase in words. */
export function describePhase(phase: ProgramPhase): string {
  switch (phase.kind) {
    case 'publish':
      return `publishes a vector of ${phase.entries}`;
    case 'int3':
      return `stores int3 at ${place(phase.at)}`;
    case 'tail':
      return `stores the tail at ${place(phase.at)}`;
    case 'first':
      return `stores the first byte at ${place(phase.at)}`;
    case 'poke':
      return `stores at ${place(phase.at)}`;
    case 'sync':
      return `asks all CPUs to serialise (after ${phase.after})`;
    case 'unpublish':
      return 'drops its reference to the vector';
    case 'done':
      return 'has finished the batch';
    case 'lock':
      return `wants ${phase.lock}`;
    case 'unlock':
      return `releases ${phase.lock}`;
    case 'trylock':
      return `tries ${phase.lock}`;
    case 'wait':
      return `waits for ${phase.for}`;
    case 'set':
      return `sets ${phase.variable} to ${[phase.value].flat().join(' ') || 'nothing'}`;
    case 'attached':
      return `has attached ${phase.owner}`;
    case 'detaching':
      return `begins to detach ${phase.owner}`;
    case 'add-kprobe':
      return `adds the kprobe of ${phase.owner} at ${place(phase.at)}`;
    case 'del-kprobe':
      return `removes the kprobe at ${place(phase.at)}`;
    case 'detour-kprobe':
      return `sends who traps at ${place(phase.at)} to ${place(phase.target)}`;
    case 'copied':
      return `has generated ${phase.name}`;
    case 'freed':
      return `has freed ${phase.name}`;
    case 'intend':
      return `is about to poke ${phase.pokes.length}`;
    case 'mismatch':
      return `finds other bytes at ${place(phase.at)} than it expected`;
    case 'end':
      return 'is done';
  }
}
