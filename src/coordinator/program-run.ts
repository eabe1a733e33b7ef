/** One run of a program, as the thread does it: plain data in, plain data out. */
import { fromHex, invariant, type KernelAddress, systemClock, systemPrng, toAddress, toHex } from '../base/index.ts';
import { AddressSpace, PAGE_SIZE } from '../cpu/index.ts';
import {
  type BpfHelper,
  type BpfJitCpu,
  type BpfOutcome,
  type HelperContext,
  type HelperRegistry,
  helpersIn,
  interpretBpf,
  type JitedBpf,
  jitBpf,
  joinedMemory,
  type MapInSpace,
  mapIntoSpace,
  type PreparedBpf,
  prepareRawBpf,
  prepareVerifiedBpf,
  programMemory,
  RUN_CALLX,
  RUN_CODE,
  type RunMap,
  type RunWrite,
  regionMemory,
  runHelper,
  runJited,
  TAIL_CALL_LAYOUT,
  writesOf,
} from '../jit/index.ts';
import type { ProgramRunAnswer } from './service-programs.ts';

/** A program and the addresses that its instructions are given for maps. */
export interface RunnableProgram {
  /** Hex. */
  readonly bytecode: string;
  /** Of what a verifier has made of a program, which the bytecode then is. */
  readonly stackDepths?: readonly number[];
  /** In the order in which the instructions count them; the contents are in {@link ProgramRun.maps}. */
  readonly maps: readonly Omit<RunMap, 'pages'>[];
  /** Of struct bpf_prog. */
  readonly prog: bigint;
}

export interface ProgramRun extends RunnableProgram {
  readonly input: string;
  readonly via: 'jit' | 'interpreter';
  readonly maxInstructions: number;
  /** Address of `_text` and what the boot asks of code. */
  readonly base: KernelAddress;
  readonly cpu: BpfJitCpu;
  /** Number 5 is what the bpf_conformance suite has there. */
  readonly isRaw: boolean;
  /** All maps that it can reach, and the programs that its arrays of programs lead to. */
  readonly contents: readonly RunMap[];
  readonly callees: readonly RunnableProgram[];
}

export interface ProgramRunDone {
  readonly answer: ProgramRunAnswer;
  /** What it wrote to maps. */
  readonly writes: readonly RunWrite[];
  /** What it wrote with bpf_trace_printk, and bpf_ktime_get_ns then. */
  readonly traced: readonly { readonly text: string; readonly timeNs: bigint }[];
}

/** Where the input is: an address of the direct map. */
const INPUT_AT = 0xffff_8880_0001_0000n;
/** The idle task of CPU 0, of which a run by itself has nothing but the address. */
const TASK = { pid: 0, tgid: 0, uid: 0, gid: 0, comm: 'swapper/0', address: 0xffff_8881_3000_0000n } as const;

/**
 * Number 5 of the bpf_conformance suite (`unwind` of ubpf, which there ends the program when it answers 0; here it answers its argument).
 */
const UNWIND: BpfHelper = { id: 5, name: 'unwind', run: ({ args }) => args[0] };

function prepared({ bytecode, stackDepths, maps }: RunnableProgram): PreparedBpf {
  const bytes = fromHex(bytecode) ?? new Uint8Array();
  const made = stackDepths === undefined ? prepareRawBpf(bytes, maps) : prepareVerifiedBpf(bytes, stackDepths, maps);
  invariant(made.ok, 'only loaded programs are run');
  return made.value;
}

const ktimeNs = (): bigint => BigInt(Math.round(systemClock.monotonicUs() * 1000));

/** Everything around a run: maps in memory, helpers over them, the lines that they trace. */
interface World {
  readonly space: AddressSpace;
  readonly maps: readonly MapInSpace[];
  readonly helpers: HelperRegistry;
  readonly log: string[];
  readonly traced: { readonly text: string; readonly timeNs: bigint }[];
}

function worldOf(run: ProgramRun): World {
  const space = new AddressSpace();
  const maps = run.contents.map((map) => mapIntoSpace(space, map));
  const [log, traced]: [string[], { readonly text: string; readonly timeNs: bigint }[]] = [[], []];
  const context: Omit<HelperContext, 'memory'> = {
    maps: maps.map(({ mapped }) => mapped),
    cpu: 0,
    task: TASK,
    now: ktimeNs,
    tai: () => BigInt(systemClock.now()) * 1_000_000n,
    random: () => systemPrng.u32(),
    trace: (line, text) => {
      if (log.length >= LOG_MAX) return;
      log.push(line);
      traced.push({ text, timeNs: ktimeNs() });
    },
    // Alone, a program has none of the kernel's memory.
    perCpuOffset: () => undefined,
    cookie: () => 0n,
    stack: () => [],
    symbol: () => undefined,
  };
  const built = helpersIn(context);
  const helpers = { byId: (id: number) => (run.isRaw && id === UNWIND.id ? UNWIND : built.byId(id)) };
  return { space, maps, helpers, log, traced };
}

/** Lines that an answer has at most. */
const LOG_MAX = 1_000;

function interpreted(run: ProgramRun, world: World, memory: Uint8Array): BpfOutcome {
  const programs = new Map(run.callees.map((each) => [each.prog, prepared(each).source.code]));
  const arrays = world.maps.map(({ mapped }) => mapped);
  return interpretBpf({
    code: prepared(run).source.code,
    args: argsOf(memory),
    memory: joinedMemory(regionMemory([{ base: INPUT_AT, bytes: memory }]), programMemory(world.space)),
    helpers: world.helpers,
    maxInstructions: run.maxInstructions,
    tailCallee(address, index) {
      const array = arrays.find((each) => each.address === address);
      return array?.shape.kind === 'programs' ? programs.get(array.shape.map.get(array.area, index)) : undefined;
    },
  });
}

const argsOf = (memory: Uint8Array): readonly [bigint, bigint] => [
  memory.length === 0 ? 0n : INPUT_AT,
  BigInt(memory.length),
];

function compiled(run: ProgramRun, program: RunnableProgram, at: number): JitedBpf {
  const { base, cpu } = run;
  // Alone in its address space, it has no thunk to return through and no per-CPU area to account in.
  const { returnThunk: _, callDepth: __, ...plain } = cpu;
  const common = { at, base, cpu: plain, helper: runHelper, callx: RUN_CALLX, tailCall: TAIL_CALL_LAYOUT };
  const jited = jitBpf(prepared(program), common);
  invariant(jited.ok, 'only programs that can be compiled are loaded');
  return jited.value;
}

const pageUp = (bytes: number): number => Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;

/** What a struct bpf_prog says of each callee: where its code is. */
function mapProgs(
  run: ProgramRun,
  space: AddressSpace,
  callees: readonly { readonly at: number; readonly prog: bigint }[],
): void {
  const pages = new Map<bigint, Uint8Array>();
  for (const { at, prog } of callees) {
    const field = prog + BigInt(TAIL_CALL_LAYOUT.bpfFunc);
    const start = field - (field % BigInt(PAGE_SIZE));
    const page = pages.get(start) ?? new Uint8Array(PAGE_SIZE);
    pages.set(start, page);
    new DataView(page.buffer).setBigUint64(Number(field - start), toAddress(run.base, at), true);
  }
  for (const [start, initial] of pages)
    space.map({ name: 'struct bpf_prog', start, length: PAGE_SIZE, permissions: 'r--', initial });
}

function asMachineCode(run: ProgramRun, world: World, memory: Uint8Array): BpfOutcome {
  const main = compiled(run, run, RUN_CODE);
  let next = RUN_CODE + pageUp(main.bytes.length);
  const callees = run.callees.map((each) => {
    const at = next;
    const code = compiled(run, each, at);
    next += pageUp(code.bytes.length);
    return { at, prog: each.prog, jited: code };
  });
  mapProgs(run, world.space, callees);
  return runJited({
    jited: main,
    place: { base: run.base },
    args: argsOf(memory),
    data: memory.length === 0 ? [] : [{ base: INPUT_AT, bytes: memory }],
    helpers: world.helpers,
    maxInstructions: run.maxInstructions,
    space: world.space,
    callees,
  });
}

function answerOf(run: ProgramRun, outcome: BpfOutcome, memory: Uint8Array, log: readonly string[]): ProgramRunAnswer {
  const common = { instructions: outcome.instructions, output: toHex(memory), via: run.via, log };
  switch (outcome.kind) {
    case 'returned':
      return { ...common, returnValue: `0x${outcome.value.toString(16)}`, fault: null, exceeded: null };
    case 'budget':
      return { ...common, returnValue: null, fault: null, exceeded: 'maxInstructions' };
    case 'fault': {
      const address = outcome.address === undefined ? null : `0x${outcome.address.toString(16)}`;
      const fault = { reason: outcome.reason, instruction: outcome.slot, address };
      return { ...common, returnValue: null, fault, exceeded: null };
    }
  }
}

/** Runs it; a run that does not return leaves maps as they were. */
export function runProgramHere(run: ProgramRun): ProgramRunDone {
  const memory = fromHex(run.input) ?? new Uint8Array();
  const world = worldOf(run);
  const outcome = run.via === 'interpreter' ? interpreted(run, world, memory) : asMachineCode(run, world, memory);
  const writes = outcome.kind === 'returned' ? world.maps.flatMap(writesOf) : [];
  return { answer: answerOf(run, outcome, memory, world.log), writes, traced: world.traced };
}
