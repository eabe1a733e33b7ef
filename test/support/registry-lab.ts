/** The registry alone: decisions are carried out on a text of their own, without textpoke, mutex or coordinator. */

import { type Fault, fromHex, toHex } from '../../src/base/index.ts';
import { type KernelImage, kernelBtf } from '../../src/image/index.ts';
import { bpfOpsFunc } from '../../src/registry/bpf/trampoline.ts';
import {
  type Attachment,
  type AttachRequest,
  type Change,
  type Decision,
  decideAttach,
  decideDetach,
  decideEndTask,
  decideForce,
  decideLoadProgram,
  decideModuleLoad,
  decideModuleStep,
  decideMoveTask,
  decideNewTask,
  decideOptimizer,
  decideSetEnabled,
  decideSysctl,
  decideTransitionWork,
  decideUnloadProgram,
  initialState,
  type KernelState,
  type LoadProgramRequest,
  type ModuleDecision,
  type ModuleStep,
  makeWorld,
  OverlayText,
  ownedBytes,
  readOnly,
  runVerification,
  type SiteFacts,
  type Strictness,
  siteFacts,
  type Task,
  type TaskChange,
  type TaskRequest,
  verificationJob,
  verifiedProgram,
  type World,
  worldOf,
} from '../../src/registry/index.ts';
import { Txn } from '../../src/registry/txn.ts';
import { withArena } from './arena-text.ts';

export class RegistryLab {
  readonly #core: World;
  text: OverlayText;
  state: KernelState;
  #next = 1;

  constructor(image: KernelImage, strictness: Strictness, variants = false) {
    this.#core = makeWorld(image, { strictness, variants });
    this.text = new OverlayText(withArena(this.#core));
    this.state = initialState(this.#core);
  }

  /** Pristine text, with that of the state's modules, and this state again. */
  restart(state: KernelState): void {
    this.text = new OverlayText(withArena(this.#core));
    for (const { image } of state.modules)
      for (const { start: at, length } of image.pristine.ranges)
        this.text.apply({ kind: 'install', at, bytes: image.pristine.bytes(at, length), what: 'load_module' });
    this.state = state;
  }

  /** The kernel with the modules that are loaded now. */
  get world(): World {
    return worldOf(this.#core, this.state.modules);
  }

  view(): Txn {
    return readOnly(this.world, this.state, this.text);
  }

  /** A decision in the making, for what no request leads to. */
  draft(): Txn {
    return new Txn(this.world, this.state, this.text, bpfOpsFunc);
  }

  /** Offset of a symbol, plus `delta`. */
  at(name: string, delta = 0): number {
    const offset = this.world.image.symbols.offsetOf(name);
    if (offset === undefined) throw new Error(`no symbol ${name}`);
    return offset + delta;
  }

  address(offset: number): string {
    return `0x${(this.world.image.base + BigInt(offset)).toString(16)}`;
  }

  #take<T extends Change>(decision: T): T {
    for (const op of decision.ops) this.text.apply(op);
    this.state = decision.state;
    return decision;
  }

  decide(request: AttachRequest, client = 'test'): Decision {
    const sequence = this.#next;
    const identity = { id: `att_${sequence}`, client, tenant: 'default', nowMs: sequence * 1000 };
    this.#next += 1;
    return this.#take(decideAttach(this.world, this.state, this.text, { request, identity, sequence }));
  }

  /** Attaches; throws when refused. */
  attach(
    kind: AttachRequest['kind'],
    target: AttachRequest['target'],
    options: Readonly<Record<string, unknown>> = {},
    client = 'test',
    program?: string,
  ): Attachment & { readonly verdict: string; readonly warnings: readonly string[] } {
    const { outcome, warnings } = this.decide(
      { kind, target, options, ...(program === undefined ? {} : { program }) },
      client,
    );
    if (outcome.kind === 'refused') throw new Error(`${kind} refused: ${outcome.fault.rule}: ${outcome.fault.detail}`);
    return { ...outcome.attachment, verdict: outcome.verdict, warnings };
  }

  /** The fault of a request that must be refused. */
  refused(
    kind: AttachRequest['kind'],
    target: AttachRequest['target'],
    options: Readonly<Record<string, unknown>> = {},
    client = 'test',
    program?: string,
  ): Fault {
    const { outcome } = this.decide({ kind, target, options, ...(program === undefined ? {} : { program }) }, client);
    if (outcome.kind === 'granted') throw new Error(`${kind} was granted`);
    return outcome.fault;
  }

  detach(id: string): Decision {
    return this.#take(decideDetach(this.world, this.state, this.text, id));
  }

  loadProgram(request: LoadProgramRequest): ReturnType<typeof decideLoadProgram> {
    const identity = { id: `prog_${this.#next}`, client: 'test', tenant: 'default', nowMs: this.#next * 1000 };
    this.#next += 1;
    const job = verificationJob(this.world, this.state, request, identity);
    if (!job.ok || job.value === undefined || request.verified !== undefined)
      return this.#take(decideLoadProgram(this.world, this.state, this.text, { request, identity }));
    const types = kernelBtf(this.world.image)?.types;
    const verified = verifiedProgram(runVerification(job.value, types));
    if (!verified.ok) {
      const outcome = { kind: 'refused', fault: verified.fault } as const;
      return { outcome, state: this.state, ops: [], warnings: [], replaced: [] };
    }
    const loaded = { ...request, verified: verified.value };
    return this.#take(decideLoadProgram(this.world, this.state, this.text, { request: loaded, identity }));
  }

  unloadProgram(id: string): ReturnType<typeof decideUnloadProgram> {
    return this.#take(decideUnloadProgram(this.world, this.state, this.text, id));
  }

  setEnabled(id: string, enabled: boolean): Decision {
    return this.#take(decideSetEnabled(this.world, this.state, this.text, id, enabled));
  }

  /** Loads a .ko. */
  loadModule(file: Uint8Array, until: 'coming' | 'live' = 'live'): ModuleDecision {
    const sequence = this.#next;
    this.#next += 1;
    const input = { file, until, client: 'loader', tenant: 'default', nowMs: sequence * 1000, sequence };
    return this.#take(decideModuleLoad(this.world, this.state, this.text, input));
  }

  /** A step of a module's life; `gone` unloads. */
  stepModule(name: string, step: ModuleStep): ModuleDecision {
    return this.#take(decideModuleStep(this.world, this.state, this.text, name, step));
  }

  /** Changes the state directly, where no request leads there. */
  change(step: (txn: Txn) => void): void {
    const txn = this.draft();
    step(txn);
    this.#take({ state: txn.finish(), ops: txn.ops, warnings: [], replaced: [] });
  }

  /** A new task, sleeping in these functions; throws when refused. */
  task(stack: readonly string[], request: Partial<TaskRequest> = {}): Task {
    const outcome = this.tryTask(stack, request);
    if (outcome.kind === 'refused') throw new Error(`task refused: ${outcome.fault.rule}: ${outcome.fault.detail}`);
    return outcome.task;
  }

  tryTask(stack: readonly string[], request: Partial<TaskRequest> = {}): ReturnType<typeof decideNewTask>['outcome'] {
    const id = `task_${this.#next}`;
    const identity = { id, client: 'tasks', tenant: 'default', nowMs: this.#next * 1000 };
    this.#next += 1;
    const input = { request: { name: 'reader', kind: 'user' as const, stack, ...request }, identity };
    return this.#take(decideNewTask(this.world, this.state, this.text, input)).outcome;
  }

  moveTask(id: string, change: TaskChange): ReturnType<typeof decideMoveTask> {
    return this.#take(decideMoveTask(this.world, this.state, this.text, id, change));
  }

  endTask(id: string): ReturnType<typeof decideEndTask> {
    return this.#take(decideEndTask(this.world, this.state, this.text, id));
  }

  force(id: string): ReturnType<typeof decideForce> {
    return this.#take(decideForce(this.world, this.state, this.text, id));
  }

  /** Attempts of the transition's worker. */
  attempts(count: number): void {
    for (let i = 0; i < count && this.state.livepatching.transition !== undefined; i++)
      this.#take(decideTransitionWork(this.world, this.state, this.text));
  }

  sysctl(name: string, value: number): ReturnType<typeof decideSysctl> {
    return this.#take(decideSysctl(this.world, this.state, this.text, name, value));
  }

  /** A run of the kprobe optimizer; true when it was kicked. */
  optimize(): boolean {
    if (!this.state.optimizer.isKicked) return false;
    this.optimizeDecision();
    return true;
  }

  /** The same with what was decided. */
  optimizeDecision(): ReturnType<typeof decideOptimizer> {
    return this.#take(decideOptimizer(this.world, this.state, this.text));
  }

  /** Does something, then lets the optimizer run. */
  optimizeAfter<T>(act: () => T): T {
    const done = act();
    this.optimize();
    return done;
  }

  site(offset: number): SiteFacts {
    return siteFacts(this.view(), offset);
  }

  hex(offset: number, length: number): string {
    return toHex(this.text.bytes(offset, length));
  }

  /** What the five bytes at an offset call or jump to. */
  callee(offset: number): number {
    return offset + 5 + Buffer.from(this.text.bytes(offset + 1, 4)).readInt32LE();
  }

  /** Writes bytes that no owner accounts for. */
  vandalize(offset: number, bytes: string): void {
    this.text.apply({ kind: 'install', at: offset, bytes: fromHex(bytes) ?? new Uint8Array(), what: 'vandal' });
  }

  /** Places of text that are not what the owners' state says. */
  orphans(): readonly number[] {
    const wrong: number[] = [];
    for (const { at, bytes } of ownedBytes(this.view()))
      for (const [i, byte] of bytes.entries()) if (this.text.u8(at + i) !== byte) wrong.push(at + i);
    return wrong;
  }
}

/** The same image with other bytes in its pristine text. */
export function withBytes(image: KernelImage, offset: number, hex: string): KernelImage {
  const { pristine } = image;
  const patch = fromHex(hex) ?? new Uint8Array();
  const bytes = (at: number, length: number): Uint8Array => {
    const found = pristine.bytes(at, length);
    for (const [i, byte] of patch.entries()) {
      const index = offset + i - at;
      if (index >= 0 && index < length) found[index] = byte;
    }
    return found;
  };
  return {
    ...image,
    pristine: {
      ranges: pristine.ranges,
      contains: pristine.contains,
      u8: (at) => bytes(at, 1)[0] as number,
      bytes,
    },
  };
}

type Names = Pick<KernelImage['symbols'], 'byName' | 'offsetOf'>;

function withNames(image: KernelImage, names: (symbols: KernelImage['symbols']) => Names): KernelImage {
  const { symbols } = image;
  return {
    ...image,
    symbols: {
      count: symbols.count,
      functionCount: symbols.functionCount,
      at: (index) => symbols.at(index),
      containing: (offset) => symbols.containing(offset),
      matching: (pattern) => symbols.matching(pattern),
      near: (name, limit) => symbols.near(name, limit),
      ...names(symbols),
    },
  };
}

/** The same image without these symbols. */
export const withoutSymbols = (image: KernelImage, ...names: readonly string[]): KernelImage =>
  withNames(image, (symbols) => ({
    byName: (name) => (names.includes(name) ? [] : symbols.byName(name)),
    offsetOf: (name) => (names.includes(name) ? undefined : symbols.offsetOf(name)),
  }));

/** The same image, where `added` is another name for `existing`. */
export const withSymbol = (image: KernelImage, added: string, existing: string): KernelImage =>
  withNames(image, (symbols) => {
    const real = (name: string): string => (name === added ? existing : name);
    return { byName: (name) => symbols.byName(real(name)), offsetOf: (name) => symbols.offsetOf(real(name)) };
  });
