import { toAddress } from '../../base/index.ts';
import { AddressSpace, Cpu, type CpuExit, PAGE_SIZE } from '../../cpu/index.ts';
import { type BpfCallback, HelperFault } from '../helpers/index.ts';
import type { BpfMemory, BpfOutcome, HelperRegistry } from '../interpret/index.ts';
import type { JitedBpf } from '../program/index.ts';
import { HELPER_STUBS, RUN_CODE, RUN_RESUME, type RunPlace, runHelperStubs } from './run-place.ts';
import { programMemory } from './run-world.ts';

/** Away from data objects, maps, and what tests map. */
const STACK = 0xffff_c9fe_0000_0000n;
const STACK_SIZE = 16 * PAGE_SIZE;
/** Where the run returns to; nothing is there. */
const SENTINEL = 0xffff_dead_0000_0000n;
const ARGUMENTS = ['rdi', 'rsi', 'rdx', 'rcx', 'r8'] as const;

export interface RunJitedRequest {
  /** Compiled for {@link RunPlace}. */
  readonly jited: JitedBpf;
  readonly place: RunPlace;
  /** R1 and R2. */
  readonly args: readonly [bigint, bigint];
  /** Readable and writable memory, each at a page. The program changes the bytes. */
  readonly data: readonly { readonly base: bigint; readonly bytes: Uint8Array }[];
  readonly helpers: HelperRegistry;
  /** x86 instructions. */
  readonly maxInstructions: number;
  /** Memory that has the maps already; without it there is none but the data. */
  readonly space?: AddressSpace;
  /** Programs that tail calls lead to, each compiled for its place. */
  readonly callees?: readonly { readonly at: number; readonly jited: JitedBpf }[];
}

const wholePages = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / PAGE_SIZE) * PAGE_SIZE;

function spaceOf({ jited, place, data, space = new AddressSpace(), callees = [] }: RunJitedRequest): AddressSpace {
  for (const { at, jited: each } of [{ at: RUN_CODE, jited }, ...callees])
    space.map({
      name: 'program',
      start: toAddress(place.base, at),
      length: wholePages(each.bytes.length),
      permissions: 'r-x',
      initial: each.bytes,
    });
  const stubs = runHelperStubs();
  space.map({
    name: 'helpers',
    start: toAddress(place.base, HELPER_STUBS),
    length: wholePages(stubs.length),
    permissions: 'r-x',
    initial: stubs,
  });
  space.map({ name: 'stack', start: STACK, length: STACK_SIZE, permissions: 'rw-' });
  for (const { base, bytes } of data) {
    space.map({ name: 'data', start: base, length: wholePages(bytes.length), permissions: 'rw-', initial: bytes });
  }
  return space;
}

/** `vmcall` */
const HYPERCALL_SIZE = 3n;

/** Helpers that wait for a function of the program, innermost last. */
type Waiting = Generator<BpfCallback, bigint, bigint>[];

/** A helper has come to its end, which %rax and the `ret` of its stub tell, or to a function that it calls. */
function follow(cpu: Cpu, waiting: Waiting, run: Waiting[number], resume: bigint, before?: bigint): void {
  const step = before === undefined ? run.next() : run.next(before);
  if (step.done === true) {
    cpu.set('rax', BigInt.asUintN(64, step.value));
    return;
  }
  waiting.push(run);
  for (const [i, value] of step.value.args.entries()) cpu.set(ARGUMENTS[i] ?? 'r8', BigInt.asUintN(64, value));
  cpu.push(resume);
  cpu.set('rip', step.value.callee);
}

/** What a stub asked for. False: there is no such helper. */
function hypercall(cpu: Cpu, request: RunJitedRequest, memory: BpfMemory, waiting: Waiting, number: number): boolean {
  const resume = toAddress(request.place.base, RUN_RESUME);
  if (cpu.get('rip') === resume + HYPERCALL_SIZE) {
    const run = waiting.pop();
    if (run !== undefined) follow(cpu, waiting, run, resume, cpu.get('rax'));
    return run !== undefined;
  }
  const helper = request.helpers.byId(number);
  if (helper === undefined) return false;
  const values = ARGUMENTS.map((name) => cpu.get(name));
  const run = helper.run({ args: values as never, memory });
  if (typeof run === 'bigint') cpu.set('rax', run);
  else follow(cpu, waiting, run, resume);
  return true;
}

/**
 * Runs compiled code on a simulated CPU. Helpers are stubs that leave the CPU with a hypercall. A load that may fault goes on behind it, as
 * ex_handler_bpf has it. Everything that stops it is an outcome; `slot` is that of the code that was compiled.
 */
export function runJited(request: RunJitedRequest): BpfOutcome {
  const { jited, place, args, maxInstructions } = request;
  const space = spaceOf(request);
  const memory = programMemory(space);
  const waiting: Waiting = [];
  const cpu = new Cpu({ number: 0, space });
  const code = toAddress(place.base, RUN_CODE);
  cpu.sentinel = SENTINEL;
  cpu.set('rip', code);
  cpu.set('rsp', STACK + BigInt(STACK_SIZE));
  cpu.set('rdi', args[0]);
  cpu.set('rsi', args[1]);
  cpu.push(SENTINEL);
  for (;;) {
    const exit = cpu.run(maxInstructions - cpu.executed);
    const instructions = cpu.executed;
    const slot = slotAt(jited, Number(cpu.get('rip') - code));
    switch (exit.kind) {
      case 'returned':
        for (const { base, bytes } of request.data) bytes.set(space.peek(base, bytes.length) ?? bytes);
        return { kind: 'returned', value: cpu.get('rax'), instructions };
      case 'budget':
        return { kind: 'budget', slot, instructions };
      case 'hypercall': {
        try {
          if (hypercall(cpu, request, memory, waiting, exit.number)) break;
        } catch (error) {
          if (!(error instanceof HelperFault)) throw error;
          const reason = error.access === 'read' ? 'load' : 'store';
          return { kind: 'fault', slot: callerSlot(cpu, jited, code), reason, address: error.address, instructions };
        }
        return { kind: 'fault', slot: callerSlot(cpu, jited, code), reason: 'helper', instructions };
      }
      case 'fault':
        if (resume(cpu, jited, Number(cpu.get('rip') - code))) break;
        return faultOutcome(exit, slot, instructions);
      default:
        return { kind: 'fault', slot, reason: 'exception', instructions };
    }
  }
}

/** The slot of the call that led to a stub: its return address is on top of the stack. */
function callerSlot(cpu: Cpu, jited: JitedBpf, code: bigint): number {
  return slotAt(jited, Number((cpu.pop() ?? 0n) - 1n - code));
}

function resume(cpu: Cpu, jited: JitedBpf, at: number): boolean {
  const entry = jited.extable.find((each) => each.at === at);
  if (entry === undefined) return false;
  cpu.set(REGISTERS[entry.clears] ?? 'rax', 0n);
  cpu.set('rip', cpu.get('rip') + BigInt(entry.resumeAt - entry.at));
  return true;
}

const REGISTERS = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;

function faultOutcome(exit: CpuExit & { readonly kind: 'fault' }, slot: number, instructions: number): BpfOutcome {
  const { fault } = exit;
  if (fault.name !== '#PF') return { kind: 'fault', slot, reason: 'exception', instructions };
  const reason = fault.access === 'write' ? 'store' : 'load';
  return { kind: 'fault', slot, reason, address: fault.address, instructions };
}

/** The last slot that begins at or before a byte of the image. */
function slotAt({ slotStarts }: JitedBpf, byte: number): number {
  let low = 0;
  let high = slotStarts.length;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if ((slotStarts[middle] as number) <= byte) low = middle;
    else high = middle;
  }
  return low;
}
