import type { Clock } from '../base/index.ts';
import type { Cpu, CpuExit, CpuFault } from '../cpu/index.ts';
import { NOP5 } from '../insn/index.ts';
import type { PokeVector } from '../textpoke/index.ts';
import { type PlacedBuffer, placeArguments, putArguments } from './arguments.ts';
import type { CallEnd, CallOutcome, MachineCall } from './call-types.ts';
import { AGAIN, type BpfWorld, Execution, type GuestCall, type Handler, type Played } from './execution.ts';
import { faultAt, faultOf } from './faults.ts';
import { Guest, GuestFault } from './guest.ts';
import { enterCounted } from './handlers/counted.ts';
import { int3 } from './handlers/int3.ts';
import { bugTrap, fixupException } from './handlers/traps.ts';
import type { Play } from './intercepts.ts';
import { HYPERCALL, PT_REGS_SIZE, percpuStart, RESUME_STUB, RETURN_ADDRESS, STACK_SIZE, stackStart } from './layout.ts';
import type { MachineImage } from './machine-image.ts';
import type { MachineText } from './machine-text.ts';
import type { RuntimeIndex } from './runtime-index.ts';
import type { Watches } from './watch.ts';

/** Instructions between two looks at the clock: some milliseconds. */
const SLICE = 200_000;
const NO_BPF: BpfWorld = { maps: [], kernelText: 0n, now: () => 0n, tai: () => 0n, random: () => 0 };
const NO_VECTOR: PokeVector = { refs: 0, entries: [] };
/** At the top of a stack a task has a struct pt_regs (task_pt_regs), which of a kernel thread is empty; %rsp stays a multiple of 16. */
const PT_REGS_ROOM = (PT_REGS_SIZE + 15n) & ~15n;
/** Bit 1 of RFLAGS is always set; interrupts are on. */
const FLAGS_AT_ENTRY = 0x202n;
const REPORTED = [
  ...['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
  ...['rip', 'gs_base'],
] as const;

/** What a run needs of its machine. */
export interface RunContext {
  readonly image: MachineImage;
  readonly text: MachineText;
  readonly cpu: Cpu;
  readonly index: RuntimeIndex;
  readonly watches: Watches;
  /** Where the first buffer of the call goes, when other calls have memory, too. */
  readonly heapStart?: bigint;
  /** Return hooks in use by all calls; without it only by this one. */
  readonly instances?: Map<string, number>;
  /** By address of their first instruction. */
  readonly intercepts: ReadonlyMap<bigint, Play>;
  /** What BPF helpers have; without it no map and no clock. */
  readonly bpf?: BpfWorld;
  /** The poke under way, as int3 handlers see it. */
  readonly pokeVector?: () => PokeVector;
}

/** One call on its way on one CPU. It can be advanced instruction by instruction, with other CPUs and pokes in between. */
export class Run {
  readonly #context: RunContext;
  readonly #request: MachineCall;
  #watches: Watches;
  readonly #x: Execution;
  readonly #buffers: readonly PlacedBuffer[];
  readonly #trace: bigint[] = [];
  #end: CallEnd | undefined;

  /** Puts the CPU at the function's first instruction, as its caller would have. */
  constructor(context: RunContext, request: MachineCall) {
    const { cpu, image } = context;
    this.#context = context;
    this.#request = request;
    this.#watches = context.watches;
    this.#x = new Execution(new Guest(cpu, cpu.space), context.index, context.bpf ?? NO_BPF, context.instances);
    const { guest } = this.#x;
    cpu.words.fill(0);
    guest.flags = FLAGS_AT_ENTRY;
    guest.set('gs_base', percpuStart(request.cpu) - (image.symbols['__per_cpu_start'] ?? 0n));
    guest.set('rsp', stackStart(request.cpu) + BigInt(STACK_SIZE) - PT_REGS_ROOM);
    guest.set('rip', request.function);
    cpu.sentinel = RETURN_ADDRESS;
    this.#buffers = putArguments(guest, request.args, RETURN_ADDRESS, context.heapStart);
  }

  /** Text changes under the call: from now on it meets these owners. */
  meet(index: RuntimeIndex, watches: Watches): void {
    this.#x.index = index;
    this.#watches = watches;
  }

  get executed(): number {
    return this.#x.executed;
  }

  /** Traps into a poke under way. */
  get pokeTraps(): number {
    return this.#x.pokeTraps;
  }

  /** Ends the call where it is. */
  stop(): void {
    this.#end ??= { kind: 'budget', exceeded: 'instructions' };
    this.#x.abandonHooks();
  }

  get end(): CallEnd | undefined {
    return this.#end;
  }

  /** Runs until the call has ended or its budget is used up. */
  toTheEnd(clock: Clock): CallOutcome {
    const deadline = clock.monotonicUs() + this.#request.maxMs * 1000;
    while (this.#end === undefined) {
      const left = this.#request.maxInstructions - this.#x.executed;
      if (left <= 0) this.#end = { kind: 'budget', exceeded: 'instructions' };
      else if (clock.monotonicUs() > deadline) this.#end = { kind: 'budget', exceeded: 'time' };
      else this.advance(Math.min(left, SLICE));
    }
    return this.outcome();
  }

  /** At most that many instructions; fewer when the machine had something to do. */
  advance(instructions: number): void {
    if (this.#end !== undefined) return;
    const { cpu } = this.#context;
    const isTraced = this.#trace.length < this.#request.traceMax;
    if (isTraced) this.#trace.push(cpu.get('rip'));
    try {
      this.#end = this.#handle(isTraced ? cpu.step() : cpu.run(instructions));
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      const detail = `a handler's ${error.access} of memory that is not there`;
      this.#end = { kind: 'fault', fault: { ...faultAt(this.#x, '#PF', detail), address: error.address } };
    }
  }

  #handle(exit: CpuExit): CallEnd | undefined {
    switch (exit.kind) {
      case 'budget':
        return undefined;
      case 'returned':
        return { kind: 'returned', value: this.#x.guest.get('rax') };
      case 'halted':
        return { kind: 'fault', fault: faultAt(this.#x, 'halted', 'the CPU waits for an interrupt (hlt)') };
      case 'hypercall':
        return this.#hypercall();
      case 'trap':
        return exit.cause === 'int3'
          ? this.#breakpoint()
          : { kind: 'fault', fault: faultAt(this.#x, exit.cause, `vector ${exit.vector}`) };
      case 'fault':
        return this.#fault(exit.fault);
    }
  }

  #fault(fault: CpuFault): CallEnd | undefined {
    if (fixupException(this.#x, fault) || bugTrap(this.#x, fault)) return undefined;
    return { kind: 'fault', fault: faultOf(this.#x, fault) };
  }

  #breakpoint(): CallEnd | undefined {
    const x = this.#x;
    const result = int3(x, this.#context.pokeVector?.() ?? NO_VECTOR);
    // What Linux does behind a trap ends in iret.
    if (result !== 'oops') x.guest.cpu.serialise('trap');
    if (typeof result === 'object') {
      this.#play(result, result.next());
      return undefined;
    }
    if (result === 'kgdb') return this.#debugger();
    if (result === 'handled') return undefined;
    x.guest.set('rip', x.guest.get('rip') - 1n);
    return { kind: 'fault', fault: faultAt(x, '#BP', 'int3: nobody wanted it') };
  }

  /** The debugger looks and lets the kernel go on: it takes its int3 away, steps over the instruction, puts it back. */
  #debugger(): CallEnd | undefined {
    const { text, cpu } = this.#context;
    const { index } = this.#x;
    const at = index.offset(cpu.get('rip')) - 1;
    const breakpoint = index.breakpointAt(at);
    if (breakpoint === undefined) return undefined;
    this.#x.fire(breakpoint.attachment, at, []);
    const live = text.bytes(at, 1);
    text.write(at, Uint8Array.of(breakpoint.saved));
    cpu.set('rip', index.address(at));
    const exit = cpu.step();
    text.write(at, live);
    this.#x.steppedBreakpoint = at;
    const end = this.#handle(exit);
    this.#x.steppedBreakpoint = undefined;
    return end;
  }

  /** %rip is behind the hypercall. */
  #hypercall(): CallEnd | undefined {
    const x = this.#x;
    x.extra += 1;
    const at = x.guest.get('rip') - BigInt(HYPERCALL.length);
    if (at === RESUME_STUB) {
      const waiting = x.waiting.pop();
      if (waiting !== undefined) this.#play(waiting, waiting.next(x.guest.get('rax')));
      return undefined;
    }
    const play = this.#context.intercepts.get(at);
    if (play !== undefined) {
      const handler = play(x);
      if (handler === AGAIN) {
        // Waiting costs, so that it ends.
        x.extra -= 1;
        x.guest.set('rip', at);
      } else if (typeof handler === 'object') this.#play(handler, handler.next());
      else this.#leave(handler);
      return undefined;
    }
    if (this.#silenced(at)) return undefined;
    const watched = this.#watches.byEntry.get(x.index.offset(at));
    if (watched === undefined) {
      x.guest.set('rip', at);
      return { kind: 'fault', fault: faultAt(x, '#UD', 'vmcall: there is no hypervisor') };
    }
    enterCounted(x, watched);
    return undefined;
  }

  /** A site that would call its owners, were ftrace switched on: the hypercall stands for its NOP. */
  #silenced(at: bigint): boolean {
    const x = this.#x;
    const attachments = this.#watches.silenced.get(x.index.offset(at));
    if (attachments === undefined) return false;
    for (const attachment of attachments) x.miss(attachment, 'ftrace is disabled');
    x.extra -= 1;
    x.guest.set('rip', at + BigInt(NOP5.length));
    return true;
  }

  /** The return of a played function. */
  #leave(value: Played): void {
    const { guest } = this.#x;
    if (value !== undefined) guest.set('rax', value);
    guest.set('rip', guest.pop());
  }

  /** A handler has asked for a call, which then returns into the stub, or is done. */
  #play(handler: Handler, step: IteratorResult<GuestCall, Played>): void {
    const { guest, waiting } = this.#x;
    if (step.done === true) {
      this.#leave(step.value);
      return;
    }
    waiting.push(handler);
    const { callee, args } = step.value;
    placeArguments(guest, args);
    guest.push(RESUME_STUB);
    guest.set('rip', callee);
  }

  outcome(): CallOutcome {
    const { guest, index, fired, misses, log, traced, executed, ftraceDiedAt } = this.#x;
    const registers: Record<string, bigint> = Object.fromEntries(REPORTED.map((name) => [name, guest.get(name)]));
    registers['rflags'] = guest.flags;
    return {
      end: this.#end ?? { kind: 'budget', exceeded: 'instructions' },
      instructions: executed,
      fired,
      misses,
      registers,
      log,
      traced,
      buffers: this.#buffers.map(({ arg, address, length }) => ({
        arg,
        address,
        bytes: guest.space.peek(address, length) ?? new Uint8Array(0),
      })),
      counted: index.runtime.counted.flatMap(({ attachment, counter }) => {
        const count = guest.read64(counter);
        return count === 0n ? [] : [{ attachment, count }];
      }),
      trace: this.#trace,
      mapWrites: [],
      ...(ftraceDiedAt === undefined ? {} : { ftraceDiedAt }),
    };
  }
}
