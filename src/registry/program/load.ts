import { err, type Fault, fromHex, invariant, ok, type ReadableText, type Result } from '../../base/index.ts';
import {
  BPF_INSN_SIZE,
  type BpfText,
  type ForFunction,
  GET_FUNC_IP,
  type JitedBpf,
  jitBpf,
  jitBpfForFunction,
  type MapReference,
  type PreparedBpf,
  prepareRawBpf,
  prepareVerifiedBpf,
  RUN_CALLX,
  RUN_CODE,
  runHelper,
  TAIL_CALL_LAYOUT,
} from '../../jit/index.ts';
import { dataObject, install } from '../arena.ts';
import { attachedTo, dropProgram, functionOf, parseProgramPlace } from '../bpf/programs.ts';
import { allLinks, bpfOpsFunc } from '../bpf/trampoline.ts';
import { type DecisionOf, guarded, refused } from '../decision.ts';
import { programMaps, withoutProgram } from '../maps/program-maps.ts';
import type { AttachIdentity } from '../model/request.ts';
import type {
  BpfFunctionInfo,
  BpfProg,
  BpfProgram,
  BpfProgramType,
  KernelState,
  TrampLinkKind,
  VerifiedProgram,
} from '../model/state.ts';
import { BPF_FUNC_INFO } from '../rules/bpf-program.ts';
import { PROGRAM_IN_USE, PROGRAM_LIMIT, PROGRAM_TYPE, PROGRAM_UNKNOWN, programFault } from '../rules/program.ts';
import { refuse } from '../rules/rule.ts';
import { Txn } from '../txn.ts';
import type { World } from '../world.ts';
import { checkHelpers, helperPlace } from './helper-place.ts';
import { bpfJitCpu } from './jit-cpu.ts';

export const PROGRAMS_MAX = 1_000;
export const BPF_PROGRAM_TYPES: readonly BpfProgramType[] = [
  'raw',
  'fentry',
  'fexit',
  'fmod_ret',
  'freplace',
  'lsm',
  'kprobe',
  'tracepoint',
  'raw_tracepoint',
  'tp_btf',
];
/** sizeof(struct bpf_prog) and its aux, rounded up; only its address matters. */
const BPF_PROG_SIZE = 256;
/** Types that run in the kernel; `raw` programs are run by themselves and have no place in it. */
export const isInstalled = (type: BpfProgramType): boolean => type !== 'raw';

export interface LoadProgramRequest {
  readonly type: BpfProgramType;
  /** Hex, 8 bytes an instruction. */
  readonly bytecode: string;
  /** The function that it is for; without it, any that its type attaches to. */
  readonly attachTo?: string;
  readonly name?: string;
  /** It may sleep (BPF_F_SLEEPABLE). */
  readonly isSleepable?: boolean;
  /** Ids of the maps that instructions name by their place in this list (BPF_PSEUDO_MAP_IDX). */
  readonly maps?: readonly string[];
  /** What the verifier made of it: without it only programs of type `raw` are loaded. */
  readonly verified?: VerifiedProgram;
  /** What BTF says of its functions, the main one first. Without it others cannot be attached to it, and it takes nobody's place. */
  readonly functions?: readonly BpfFunctionInfo[];
}

export type ProgramDecision = DecisionOf<{ readonly program: BpfProgram }>;

const PREPARED = new WeakMap<BpfProgram, PreparedBpf>();
const JITED = new WeakMap<BpfProgram, JitedBpf>();

const prepare = (
  bytecode: string,
  verified: VerifiedProgram | undefined,
  maps: readonly MapReference[],
): Result<PreparedBpf> =>
  verified === undefined
    ? prepareRawBpf(fromHex(bytecode) ?? new Uint8Array(), maps)
    : prepareVerifiedBpf(fromHex(verified.code) ?? new Uint8Array(), verified.stackDepths, maps);

/** The program as instructions: computed from its bytecode, kept while it is loaded. */
export function preparedProgram(program: BpfProgram): PreparedBpf {
  const known = PREPARED.get(program);
  if (known !== undefined) return known;
  const prepared = prepare(program.bytecode, program.verified, program.maps);
  invariant(prepared.ok, () => `${program.id} was loaded and cannot be read`);
  PREPARED.set(program, prepared.value);
  return prepared.value;
}

/** Its machine code, for where it lives in the arena; of a `raw` program, for where it is run. */
export function jitedProgram(world: World, program: BpfProgram): JitedBpf {
  const known = JITED.get(program);
  if (known !== undefined) return known;
  const at = program.image?.at ?? RUN_CODE;
  const jited = compile(world, preparedProgram(program), program, at);
  invariant(jited.ok, () => `${program.id} was loaded and cannot be compiled`);
  JITED.set(program, jited.value);
  return jited.value;
}

function compile(
  world: World,
  prepared: PreparedBpf,
  { type, maps }: Pick<BpfProgram, 'type' | 'maps'>,
  at: number,
  forFunction?: ForFunction,
): Result<JitedBpf> {
  const hasProgArray = maps.some(({ spec }) => spec.type === 'prog_array');
  const common = {
    at,
    base: world.image.base,
    cpu: bpfJitCpu(world),
    ...(hasProgArray ? { tailCall: TAIL_CALL_LAYOUT } : {}),
  };
  if (!isInstalled(type)) return jitBpf(prepared, { ...common, helper: runHelper, callx: RUN_CALLX });
  const helpers = checkHelpers(world, type, prepared);
  if (!helpers.ok) return helpers;
  const request = { ...common, helper: (id: number) => helperPlace(world, type, id) };
  return forFunction === undefined ? jitBpf(prepared, request) : jitBpfForFunction(prepared, forFunction, request);
}

/** The program compiled once more, for one function and a trampoline that passes it nothing. */
export function compileForFunction(
  world: World,
  program: BpfProgram,
  forFunction: ForFunction,
  at: number,
): Result<JitedBpf> {
  const made = compile(world, preparedProgram(program), program, at, forFunction);
  return made.ok ? made : err(programFault(made.fault));
}

/** Whether the program's code, or what it calls, asks for the traced function's address. */
export const callsGetFuncIp = ({ source }: { readonly source: BpfText }): boolean => {
  const { code } = source;
  for (let slot = 0; slot < code.length; slot++)
    if (code.code[slot] === 0x85 && code.src[slot] === 0 && code.imm[slot] === GET_FUNC_IP) return true;
  return false;
};

/** Functions that no path leads to are gone, and their types with them (adjust_btf_func). */
const isIn =
  (kept: readonly number[]) =>
  (_: unknown, index: number): boolean =>
    kept.includes(index);

function loaded(txn: Txn, request: LoadProgramRequest, identity: AttachIdentity): Result<BpfProgram> {
  if (txn.programs.size >= PROGRAMS_MAX)
    return err(refuse(PROGRAM_LIMIT, { detail: `${PROGRAMS_MAX} programs are loaded.` }));
  const bytes = fromHex(request.bytecode) ?? new Uint8Array();
  const maps = programMaps(txn, request.maps ?? [], identity);
  if (!maps.ok) return maps;
  const { verified } = request;
  invariant(verified !== undefined || !isInstalled(request.type), 'what runs in the kernel has been verified');
  const prepared = prepare(request.bytecode, verified, maps.value);
  if (!prepared.ok) return err(programFault(prepared.fault));
  const kind = { type: request.type, maps: maps.value };
  const trial = compile(txn.world, prepared.value, kind, txn.arena.next);
  if (!trial.ok) return err(programFault(trial.fault));
  const { functions } = trial.value;
  const infos = verified?.kept === undefined ? request.functions : request.functions?.filter(isIn(verified.kept));
  if (infos !== undefined && infos.length !== functions.length) {
    const detail = `The program has ${functions.length} functions, its BTF has ${infos.length}.`;
    return err(refuse(BPF_FUNC_INFO, { detail }));
  }
  const size = trial.value.bytes.length;
  const at = isInstalled(request.type)
    ? install(txn, { size, what: 'bpf_prog' }, (place) => {
        const made = compile(txn.world, prepared.value, kind, place);
        invariant(made.ok && made.value.bytes.length === size, 'a program has one size wherever it lives');
        return made.value.bytes;
      })
    : undefined;
  const program: BpfProgram = {
    id: identity.id,
    name: request.name ?? request.attachTo ?? request.type,
    type: request.type,
    attachTo: request.attachTo,
    isSleepable: request.isSleepable === true,
    client: identity.client,
    tenant: identity.tenant,
    sinceMs: identity.nowMs,
    bytecode: request.bytecode,
    verified,
    insns: bytes.length / BPF_INSN_SIZE,
    maps: maps.value,
    prog: dataObject(txn, BPF_PROG_SIZE),
    image: at === undefined ? undefined : { at, size },
    functions: infos,
  };
  txn.programs.set(program.id, program);
  if (at !== undefined) txn.bpfProgs.set(program.id, progOf(program, at, trial.value.functions));
  return ok(program);
}

const PROG_TYPE: Readonly<Record<BpfProgramType, BpfProg['type']>> = {
  raw: 'other',
  fentry: 'tracing',
  fexit: 'tracing',
  fmod_ret: 'tracing',
  freplace: 'ext',
  lsm: 'lsm',
  kprobe: 'other',
  tracepoint: 'other',
  raw_tracepoint: 'other',
  tp_btf: 'tracing',
};

const ATTACH_TYPE: Readonly<Partial<Record<BpfProgramType, TrampLinkKind>>> = {
  fentry: 'fentry',
  fexit: 'fexit',
  fmod_ret: 'fmod_ret',
};

/** The program as others may attach to it. Without BTF it has its main function, and nobody knows what that takes. */
function progOf(program: BpfProgram, image: number, compiled: JitedBpf['functions']): BpfProg {
  const infos = program.functions ?? [{ name: program.name, args: [], isGlobal: true }];
  const functions = infos.flatMap((info, index) => {
    const found = compiled[index];
    if (found === undefined) return [];
    const { start, end } = found;
    return [{ ...info, at: image + start, size: end - start, allocation: image }];
  });
  return {
    id: program.id,
    type: PROG_TYPE[program.type],
    attachType: ATTACH_TYPE[program.type],
    hasBtf: program.functions !== undefined,
    functions,
    tracesTracing: false,
    isSleepable: program.isSleepable,
    arrayMembers: 0,
    isExtended: false,
    isHeld: true,
  };
}

function decide(
  world: World,
  state: KernelState,
  text: ReadableText,
  step: (txn: Txn) => Result<BpfProgram>,
): ProgramDecision {
  return guarded<{ readonly program: BpfProgram }>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const done = step(txn);
    if (!done.ok) return refused(state, done.fault);
    return {
      outcome: { kind: 'granted', program: done.value },
      state: txn.finish(),
      ops: txn.ops,
      warnings: txn.warnings,
      replaced: txn.replaced,
    };
  });
}

/**
 * Loads a program: reads it, compiles it for its place in the arena and puts it there. Source: bpf_prog_load, kernel/bpf/syscall.c (6.12).
 */
export const decideLoadProgram = (
  world: World,
  state: KernelState,
  text: ReadableText,
  input: { readonly request: LoadProgramRequest; readonly identity: AttachIdentity },
): ProgramDecision => decide(world, state, text, (txn) => loaded(txn, input.request, input.identity));

export interface LoadProgramInput {
  readonly request: LoadProgramRequest;
  readonly identity: AttachIdentity;
}

/** Several programs, all of them or none. */
export const decideLoadPrograms = (
  world: World,
  state: KernelState,
  text: ReadableText,
  inputs: readonly LoadProgramInput[],
): DecisionOf<{ readonly programs: readonly BpfProgram[] }> =>
  guarded<{ readonly programs: readonly BpfProgram[] }>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const programs: BpfProgram[] = [];
    for (const { request, identity } of inputs) {
      const program = loaded(txn, request, identity);
      if (!program.ok) return refused(state, program.fault);
      programs.push(program.value);
    }
    const { ops, warnings, replaced } = txn;
    return { outcome: { kind: 'granted', programs }, state: txn.finish(), ops, warnings, replaced };
  });

export const programUnknown = (id: string): Fault =>
  refuse(PROGRAM_UNKNOWN, { detail: `${id} is not a loaded program.` });

/** The attachments that run a program. */
export const attachmentsOf = (txn: Txn, program: BpfProgram): readonly string[] => {
  const linked = [...txn.trampolines.values()].flatMap((trampoline) =>
    [...allLinks(trampoline), ...(trampoline.extension === undefined ? [] : [trampoline.extension])]
      .filter((link) => link.program === program.id)
      .map((link) => link.attachment),
  );
  const probes = [...txn.kprobes.values()].filter((probe) => probe.program?.id === program.id);
  const traced = [...txn.tracepoints.values()].flatMap((tracepoint) =>
    tracepoint.probes.filter((probe) => probe.program?.id === program.id),
  );
  return [...linked, ...probes.map(({ id }) => id), ...traced.map(({ attachment }) => attachment)];
};

/** Those, and the ones that are attached to it. */
const usersOf = (txn: Txn, program: BpfProgram): readonly string[] => {
  const prog = txn.bpfProgs.get(program.id);
  return [...attachmentsOf(txn, program), ...(prog === undefined ? [] : attachedTo(txn, prog))];
};

/** Lets a program go that nobody runs. */
export const decideUnloadProgram = (
  world: World,
  state: KernelState,
  text: ReadableText,
  id: string,
): ProgramDecision =>
  decide(world, state, text, (txn) => {
    const program = txn.programs.get(id);
    if (program === undefined) return err(programUnknown(id));
    const users = usersOf(txn, program);
    if (users.length > 0) {
      const detail = `${id} is used by ${users.length} ${users.length === 1 ? 'attachment' : 'attachments'}.`;
      return err(refuse(PROGRAM_IN_USE, { detail, holders: txn.holders(users) }));
    }
    txn.maps = withoutProgram(txn.maps, program.prog);
    if (program.image !== undefined) dropProgram(txn, id);
    txn.programs.delete(id);
    return ok(program);
  });

const PROBE_KINDS: ReadonlySet<string> = new Set(['kprobe', 'kretprobe', 'tracepoint']);

/** Types of programs that a kind of attachment runs. */
function typesFor(kind: string): readonly string[] {
  if (kind === 'tracepoint') return ['tracepoint', 'raw_tracepoint', 'tp_btf'];
  return kind === 'kretprobe' ? ['kprobe'] : [kind];
}

/** An extension names the function, the attachment the program that has it. */
function isMeant(txn: Txn, attachTo: string, kind: string, target: unknown): boolean {
  if (attachTo === target) return true;
  const place = kind === 'freplace' && typeof target === 'string' ? parseProgramPlace(target) : undefined;
  const program = place === undefined ? undefined : txn.bpfProgs.get(place.id);
  return program !== undefined && functionOf(program, place?.func)?.name === attachTo;
}

/** The program that an attach request names, when it fits; undefined when it names none. */
export function programFor(
  txn: Txn,
  request: { readonly kind: string; readonly target: unknown; readonly program?: string | undefined },
  identity: AttachIdentity,
): Result<BpfProgram | undefined> {
  const { kind, target, program: id } = request;
  if (id === undefined) return ok(undefined);
  const program = txn.programs.get(id);
  if (program === undefined || program.tenant !== identity.tenant) return err(programUnknown(id));
  const isProbe = PROBE_KINDS.has(kind);
  if (!typesFor(kind).includes(program.type) || program.image === undefined)
    return err(refuse(PROGRAM_TYPE, { detail: `${id} was loaded as ${program.type}, not for ${kind}.` }));
  if (program.attachTo !== undefined && !isMeant(txn, program.attachTo, kind, target))
    return err(
      refuse(PROGRAM_TYPE, { detail: `${id} was loaded for ${program.attachTo}, not for ${String(target)}.` }),
    );
  if (isProbe && program.isSleepable)
    return err(refuse(PROGRAM_TYPE, { detail: `${id} may sleep, which only programs of uprobes may.` }));
  // Programs of perf events and of raw tracepoints may run on any number of them.
  if (isProbe) return ok(program);
  const elsewhere = attachmentsOf(txn, program).find((user) => txn.attachments.get(user)?.target !== target);
  if (elsewhere !== undefined)
    return err(
      refuse(PROGRAM_TYPE, {
        detail: `${id} runs on ${String(txn.attachments.get(elsewhere)?.target)}, and a program has one function.`,
        holders: txn.holders([elsewhere]),
      }),
    );
  return ok(program);
}
