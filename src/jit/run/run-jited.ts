import { toAddress } from '../../base/index.ts';
import { AddressSpace, Cpu, type CpuExit, PAGE_SIZE } from '../../cpu/index.ts';
import type { BpfMemory, BpfOutcome, HelperRegistry } from '../interpret/index.ts';
import type { JitedBpf } from '../program/index.ts';
import { HELPER_STUBS, RUN_CODE, type RunPlace, runHelperStubs } from './run-place.ts';

const STACK = 0xffff_c900_0000_0000n;
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
}

const wholePages = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / PAGE_SIZE) * PAGE_SIZE;

function spaceOf({ jited, place, data }: RunJitedRequest): AddressSpace {
  const space = new AddressSpace();
  const code = toAddress(place.base, RUN_CODE);
  space.map({
    name: 'program',
    start: code,
    length: wholePages(jited.bytes.length),
    permissions: 'r-x',
    initial: jited.bytes,
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

/** The CPU's memory, as a helper sees it. */
function memoryOf(space: AddressSpace): BpfMemory {
  return {
    load(address, size) {
      const bytes = space.peek(address, size);
      return bytes?.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    },
    store(address, size, value) {
      const bytes = Uint8Array.from({ length: size }, (_, byte) => Number((value >> BigInt(8 * byte)) & 0xffn));
      return space.poke(address, bytes);
    },
  };
}

/**
 * Runs compiled code on a simulated CPU. Helpers are stubs that leave the CPU with a hypercall. A load that may fault goes on behind it, as
 * ex_handler_bpf has it. Everything that stops it is an outcome; `slot` is that of the code that was compiled.
 */
export function runJited(request: RunJitedRequest): BpfOutcome {
  const { jited, place, args, helpers, maxInstructions } = request;
  const space = spaceOf(request);
  const memory = memoryOf(space);
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
        const helper = helpers.byId(exit.number);
        if (helper === undefined) return { kind: 'fault', slot, reason: 'helper', instructions };
        const values = ARGUMENTS.map((name) => cpu.get(name));
        cpu.set('rax', helper.run({ args: values as never, memory }));
        break;
      }
      case 'fault':
        if (resume(cpu, jited, Number(cpu.get('rip') - code))) break;
        return faultOutcome(exit, slot, instructions);
      default:
        return { kind: 'fault', slot, reason: 'exception', instructions };
    }
  }
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
