import { Map as ImmutableMap, OrderedSet } from 'immutable';
import { KPROBE_FTRACE_OPS, KPROBE_IPMODIFY_OPS } from '../kprobe/arm.ts';
import type { World } from '../world.ts';
import { blankOps } from './blank-ops.ts';
import { OPS } from './flags.ts';
import type { FtraceOps, KernelState } from './state.ts';

/** Where data objects (struct ftrace_ops, counters, struct bpf_prog) get their addresses: vmalloc space. */
const DATA_START = 0xffff_c900_0000_0000n;
/** Memory of BPF maps: vmalloc space, too. */
const MAPS_START = 0xffff_c910_0000_0000n;
/** Behind the first 16 MiB of the arena, where boot itself puts thunks on some machines (ITS, docs/boot-patching.md). */
const GENERATED_CODE_START = 0xffff_ffff_c100_0000n;

/** One of the two ftrace_ops in core kernel data that all kprobes at function entries share (kernel/kprobes.c). */
const kprobeOps = (world: World, id: string, flags: number, pointer: bigint): FtraceOps => ({
  ...blankOps(id, pointer),
  flags: OPS.INITIALIZED | OPS.SAVE_REGS | flags,
  func: { at: world.kprobeFtraceHandler ?? 0, symbol: 'kprobe_ftrace_handler' },
});

/** A kernel that has booted and that nobody has attached to. */
export function initialState(world: World): KernelState {
  const stub = world.ftrace?.ftraceStub ?? 0;
  return {
    modules: [],
    ftrace: {
      isDisabled: false,
      isEnabled: true,
      registered: 0,
      nextPosition: 1,
      traceFunction: stub,
      savedFunction: stub,
      callerFunction: undefined,
      kprobePlainEnabled: 0,
      kprobeIpmodifyEnabled: 0,
    },
    isKprobesOptimization: true,
    records: ImmutableMap(),
    ops: ImmutableMap([
      [KPROBE_FTRACE_OPS, kprobeOps(world, KPROBE_FTRACE_OPS, 0, world.kprobeOpsPointer)],
      [KPROBE_IPMODIFY_OPS, kprobeOps(world, KPROBE_IPMODIFY_OPS, OPS.IPMODIFY, world.kprobeIpmodifyOpsPointer)],
    ]),
    opsBySite: ImmutableMap(),
    graphTracers: [],
    directFunctions: ImmutableMap(),
    kprobes: ImmutableMap(),
    kprobeTable: ImmutableMap(),
    optimizer: { optimizing: OrderedSet(), unoptimizing: OrderedSet(), freeing: OrderedSet(), isKicked: false },
    trampolines: ImmutableMap(),
    programs: ImmutableMap(),
    maps: ImmutableMap(),
    nextMap: { number: 1, address: MAPS_START },
    bpfProgs: ImmutableMap(),
    arena: {
      next: Number(GENERATED_CODE_START - world.image.base),
      free: ImmutableMap(),
      allocations: ImmutableMap(),
      nextData: DATA_START,
    },
    livepatches: ImmutableMap(),
    livepatching: { patches: [], transition: undefined, forced: [] },
    lingering: ImmutableMap(),
    tasks: ImmutableMap(),
    nextFrame: 1,
    staticKeys: ImmutableMap(),
    staticCalls: ImmutableMap(),
    tracepoints: ImmutableMap(),
    kgdb: ImmutableMap(),
    attachments: ImmutableMap(),
    revisions: ImmutableMap(),
    quarantined: ImmutableMap(),
  };
}
