import type { ReadableText } from '../../base/index.ts';
import { allLinks, bpfOpsFunc } from '../bpf/trampoline.ts';
import { GRAPH_OPS, hasFlag } from '../ftrace/ops-list.ts';
import { KPROBE_INSNS } from '../kernels/kprobe-facts.ts';
import { recoveredBytes } from '../kprobe/recovered.ts';
import { klpHandlerTarget } from '../livepatch/stack.ts';
import { reachableFrom } from '../maps/reachable.ts';
import { OPS, TRAMP_F } from '../model/flags.ts';
import type { FtraceOps, KernelState, KprobeEntry } from '../model/state.ts';
import { siteFacts } from '../site-view.ts';
import { registeredProbes } from '../tracepoint/tracepoint.ts';
import { Txn } from '../txn.ts';
import { ftraceSiteIn, type World } from '../world.ts';
import type {
  CountedCode,
  OpsUser,
  Runtime,
  RuntimeExtension,
  RuntimeKprobe,
  RuntimeOps,
  RuntimeOptprobe,
  RuntimeProgram,
  RuntimeTracepoint,
} from './runtime.ts';

/** Filters of tens of thousands of sites are walked once. */
const SORTED = new WeakMap<object, Uint32Array>();

function sorted(sites: FtraceOps['filter']): Uint32Array {
  const known = SORTED.get(sites);
  if (known !== undefined) return known;
  const array = Uint32Array.from(sites).sort();
  SORTED.set(sites, array);
  return array;
}

type Callback = Extract<OpsUser, { kind: 'callback' }>['callback'];

/** What an ops of an attachment's own calls. */
function callbackOf(kind: string | undefined, ops: FtraceOps): Callback {
  if (kind === 'kretprobe_multi') return 'fprobe-exit';
  if (kind === 'kprobe_multi') return 'fprobe-entry';
  if (kind === 'fprobe') return 'fprobe';
  return ops.func.symbol === 'function_trace_call' ? 'function-tracer' : 'handler';
}

function userOf(state: KernelState, ops: FtraceOps): OpsUser {
  if (hasFlag(ops, OPS.DIRECT)) {
    const calls = [...ops.filter].flatMap((site) => {
      const callee = state.directFunctions.get(site);
      return callee === undefined ? [] : [[site, callee] as const];
    });
    return { kind: 'direct', calls };
  }
  if (ops.attachment !== undefined) {
    const kind = state.attachments.get(ops.attachment)?.kind;
    return { kind: 'callback', attachment: ops.attachment, callback: callbackOf(kind, ops) };
  }
  if (ops.id === GRAPH_OPS) {
    const tracers = state.graphTracers.map(({ attachment, sites }) => ({ attachment, sites: sorted(sites) }));
    return { kind: 'graph', tracers };
  }
  if (ops.livepatchedFunction !== undefined) {
    const func = ops.livepatchedFunction;
    const patched = state.livepatches.get(func);
    // A task that is made during a transition is in the target state (klp_copy_process copies that of a parent that has switched).
    const at = patched && klpHandlerTarget(state, patched, state.livepatching.transition?.target);
    const chosen = patched?.stack.find((each) => each.at === at && !each.isNop);
    return {
      kind: 'livepatch',
      func,
      target: chosen === undefined ? undefined : { attachment: chosen.attachment, at: chosen.at },
    };
  }
  return hasFlag(ops, OPS.STUB) ? { kind: 'none' } : { kind: 'kprobes' };
}

function runtimeOps(state: KernelState): readonly RuntimeOps[] {
  return [...state.ops.values()]
    .filter((ops) => ops.position !== undefined)
    .sort((a, b) => (b.position ?? 0) - (a.position ?? 0))
    .map((ops) => ({
      pointer: ops.pointer,
      isStub: hasFlag(ops, OPS.STUB),
      isAssisted: hasFlag(ops, OPS.RECURSION),
      func: ops.isFuncNull ? undefined : ops.func.at,
      sites: sorted(ops.filter),
      user: userOf(state, ops),
    }));
}

function runtimeOptprobe(world: World, { opt }: KprobeEntry): RuntimeOptprobe | undefined {
  const template = world.optprobe?.template;
  if (opt === undefined || template === undefined) return undefined;
  return { op: opt.op, isOptimized: opt.isOptimized, displaced: opt.detour + template.bytes.length };
}

function runtimeKprobe(world: World, state: KernelState, text: ReadableText, entry: KprobeEntry): RuntimeKprobe {
  const children = entry.children.flatMap((child) => {
    const probe = child.kind === 'probe' ? state.kprobes.get(child.id) : undefined;
    return probe === undefined
      ? []
      : [
          {
            attachment: probe.id,
            kind: probe.kind,
            isDisabled: probe.isDisabled,
            hasPostHandler: probe.hasPostHandler,
            maxActive: probe.maxActive,
            program: probe.program,
          },
        ];
  });
  return {
    addr: entry.addr,
    func: world.image.symbols.containing(entry.addr)?.offset ?? entry.addr,
    isFtrace: entry.isFtrace,
    isDisabled: entry.isDisabled,
    insn: recoveredBytes(world, state.kprobeTable, text, entry.addr),
    slot: entry.slot,
    optimized: runtimeOptprobe(world, entry),
    children,
  };
}

function runtimePrograms(state: KernelState): readonly RuntimeProgram[] {
  return [...state.trampolines.values()].flatMap((trampoline) =>
    allLinks(trampoline).map((link) => ({
      attachment: link.attachment,
      kind: link.kind,
      prog: link.prog,
      entry: link.entry,
      counter: state.arena.allocations.get(link.entry)?.counter,
      func: trampoline.func,
      isRecursionChecked: link.isRecursionChecked,
      argSizes: trampoline.argSizes,
      callsOriginal: (trampoline.flags & TRAMP_F.CALL_ORIG) !== 0,
      layout: trampoline.layout,
    })),
  );
}

function runtimeExtensions(state: KernelState): readonly RuntimeExtension[] {
  return [...state.trampolines.values()].flatMap(({ func, extension, argSizes }) =>
    extension === undefined
      ? []
      : [{ attachment: extension.attachment, entry: extension.entry, func, args: argSizes.length }],
  );
}

function runtimeTracepoints(state: KernelState): readonly RuntimeTracepoint[] {
  return [...state.tracepoints].map(([at, { probes }]) => ({
    at,
    // What stands in text of the kernel's own (options.probe) would be called with data that nobody has.
    probes: registeredProbes(probes).flatMap(({ func, data }) => (data === undefined ? [] : [{ func, data }])),
    programs: probes.flatMap(({ attachment, data, args = 0, program }) =>
      program === undefined || data === undefined
        ? []
        : [
            {
              attachment,
              data,
              args,
              prog: program.prog,
              entry: program.entry,
              kind: program.kind,
              cookie: program.cookie ?? 0n,
            },
          ],
    ),
  }));
}

function countedCode(state: KernelState): readonly CountedCode[] {
  return [...state.arena.allocations.values()].flatMap(({ at, attachment, counter, what }) =>
    attachment === undefined || counter === undefined ? [] : [{ attachment, entry: at, counter, what }],
  );
}

function bpfRuntime(state: KernelState): Pick<Runtime, 'maps' | 'tailCallees'> {
  const installed = [...state.programs.values()].filter(({ image }) => image !== undefined);
  const { contents, callees } = reachableFrom(state, installed);
  const tailCallees = callees.flatMap(({ prog, image }) => (image === undefined ? [] : [{ prog, entry: image.at }]));
  return { maps: contents, tailCallees };
}

/** Disabled owners are not among them: they would not run with ftrace on either. */
function silencedSites(world: World, state: KernelState, text: ReadableText): Runtime['silenced'] {
  if (state.ftrace.isEnabled) return [];
  const txn = new Txn(world, state, text, bpfOpsFunc);
  const sites = new Set([...state.attachments.values()].flatMap((attachment) => attachment.sites));
  return [...sites]
    .filter((at) => ftraceSiteIn(world, at, at) === at)
    .sort((a, b) => a - b)
    .map((at) => ({
      at,
      attachments: siteFacts(txn, at).owners.filter((id) => state.attachments.get(id)?.isEnabled === true),
    }));
}

/** Who is called when text runs in this state. */
export function describeRuntime(world: World, state: KernelState, text: ReadableText): Runtime {
  return {
    insnRules: world.fact(KPROBE_INSNS),
    isFtraceDead: state.ftrace.isDisabled,
    ops: runtimeOps(state),
    kprobes: [...state.kprobeTable.values()].map((entry) => runtimeKprobe(world, state, text, entry)),
    programs: runtimePrograms(state),
    extensions: runtimeExtensions(state),
    tracepoints: runtimeTracepoints(state),
    counted: countedCode(state),
    ...bpfRuntime(state),
    silenced: silencedSites(world, state, text),
    breakpoints: [...state.kgdb].flatMap(([at, { attachment, saved, isPresent }]) =>
      attachment === undefined || !isPresent ? [] : [{ at, attachment, saved }],
    ),
  };
}
