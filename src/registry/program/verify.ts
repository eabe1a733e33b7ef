import { err, fromHex, ok, type Result } from '../../base/index.ts';
import { type BtfTypes, kernelBtf, perCpuVariables } from '../../image/index.ts';
import {
  BPF_LD_IMM64,
  BPF_PSEUDO_BTF_ID,
  type FunctionTypes,
  type KernelName,
  type MapSpec,
  type Refusal,
  type VerifiedBytes,
  type VerifiedType,
  type VerifyTarget,
  verifyBytes,
} from '../../jit/index.ts';
import { mayProgramsSleep } from '../bpf/attach-target.ts';
import { functionOf, parseProgramPlace } from '../bpf/programs.ts';
import { programMaps } from '../maps/program-maps.ts';
import type { AttachIdentity } from '../model/request.ts';
import type { BpfFunctionInfo, BpfProgramType, KernelState, VerifiedProgram } from '../model/state.ts';
import { programFault } from '../rules/program.ts';
import { traceSignature } from '../tracepoint/signature.ts';
import type { World } from '../world.ts';
import type { LoadProgramRequest } from './load.ts';

/** What the verifier is asked, in plain data, so that a thread can be. */
export interface VerificationJob {
  /** Hex. */
  readonly bytecode: string;
  readonly type: VerifiedType;
  readonly target?: VerifyTarget;
  /** What BTF says of its functions. */
  readonly functionTypes?: readonly FunctionTypes[];
  readonly maps: readonly MapSpec[];
  /** Variables and functions of the kernel that its instructions name, by their number in BTF. */
  readonly kernelNames?: ReadonlyMap<number, KernelName>;
  /** Whether its licence is compatible with the GPL; bytecode has none and is taken for such. */
  readonly isGpl?: boolean;
  readonly isSleepable?: boolean;
}

const WORD = 8;

/** The function that a program is for, as its context is made of its arguments; undefined for a name that BTF does not know. */
function targetOf(world: World, name: string): VerifyTarget | undefined {
  const { image } = world;
  const prototype = image.btf?.prototype(name);
  const id = image.btf?.id(name);
  if (prototype === undefined || id === undefined) return undefined;
  const words = prototype.params.reduce((sum, { size }) => sum + Math.max(1, Math.ceil(size / WORD)), 0);
  const isKernels = id < (kernelBtf(image)?.count ?? 0);
  return { name, words, maySleep: mayProgramsSleep(world, name), ...(isKernels ? { btfId: id } : {}) };
}

/** The same of a function of a BPF program, which has numbers and a context for arguments; the context's contents are nobody's to read. */
function programTarget(state: Pick<KernelState, 'bpfProgs'>, name: string): VerifyTarget | undefined {
  const place = parseProgramPlace(name);
  const program = place === undefined ? undefined : state.bpfProgs.get(place.id);
  const func = program === undefined ? undefined : functionOf(program, place?.func);
  return func === undefined ? undefined : { name: func.name, words: func.args.length };
}

/** What instructions name of the kernel by its BTF, with its address (kallsyms_lookup_name); bytes that are no instructions name nothing. */
function kernelNames({ image }: World, bytecode: string): ReadonlyMap<number, KernelName> {
  const names = new Map<number, KernelName>();
  const btf = kernelBtf(image);
  const bytes = Buffer.from(bytecode, 'hex');
  for (let at = 0; btf !== undefined && at + 16 <= bytes.length; at += 8) {
    if (bytes[at] !== BPF_LD_IMM64) continue;
    const id = bytes.readInt32LE(at + 4);
    if ((bytes[at + 1] ?? 0) >> 4 === BPF_PSEUDO_BTF_ID && id > 0 && id < btf.count)
      names.set(id, {
        address: image.symbols.byName(btf.types.name(id))[0]?.address,
        isPerCpu: perCpuVariables(btf).has(id),
      });
    at += 8;
  }
  return names;
}

/** What to ask of a program that is loaded; undefined for one that may do anything, since it never runs in the kernel. */
export function verificationJob(
  world: World,
  state: Pick<KernelState, 'maps' | 'bpfProgs'>,
  request: LoadProgramRequest,
  identity: AttachIdentity,
): Result<VerificationJob | undefined> {
  const maps = programMaps(state, request.maps ?? [], identity);
  if (!maps.ok) return maps;
  return ok(
    jobFor(
      world,
      state,
      request,
      maps.value.map(({ spec }) => spec),
    ),
  );
}

function targetFor(
  world: World,
  state: Pick<KernelState, 'bpfProgs'>,
  type: BpfProgramType,
  name: string,
): VerifyTarget | undefined {
  if (type !== 'tp_btf') return programTarget(state, name) ?? targetOf(world, name);
  const signature = traceSignature(world.image, name);
  return signature && { name, btfId: signature.btfId, words: signature.args };
}

/** What a client said of a function: pointers to memory come with objects alone. */
const typesOf = ({ name, args, isGlobal }: BpfFunctionInfo): FunctionTypes => ({
  name,
  isGlobal,
  args: args.map((arg) =>
    arg === 'mem' ? { kind: 'mem', size: 0, mayBeNull: true } : { kind: arg === 'ctx' ? 'ctx' : 'scalar' },
  ),
});

function jobFor(
  world: World,
  state: Pick<KernelState, 'bpfProgs'>,
  { type, bytecode, attachTo, functions, isSleepable }: Omit<LoadProgramRequest, 'maps'>,
  maps: readonly MapSpec[],
): VerificationJob | undefined {
  if (type === 'raw') return undefined;
  const target = attachTo === undefined ? undefined : targetFor(world, state, type, attachTo);
  return {
    bytecode,
    type,
    maps,
    kernelNames: kernelNames(world, bytecode),
    ...(target === undefined ? {} : { target }),
    ...(functions === undefined ? {} : { functionTypes: functions.map(typesOf) }),
    ...(isSleepable === undefined ? {} : { isSleepable }),
  };
}

/** license_is_gpl_compatible (include/linux/license.h, 6.12). */
const GPL_COMPATIBLE: ReadonlySet<string> = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
]);

/** The same of a program of an object, whose maps are not made yet: `maps` are those that its instructions count. */
export function objectVerificationJob(
  world: World,
  state: Pick<KernelState, 'bpfProgs'>,
  request: Omit<LoadProgramRequest, 'maps'>,
  maps: readonly MapSpec[],
  {
    license,
    functionTypes,
  }: { readonly license: string; readonly functionTypes?: readonly FunctionTypes[] | undefined },
): VerificationJob | undefined {
  const job = jobFor(world, state, request, maps);
  const types = functionTypes === undefined ? {} : { functionTypes };
  return job === undefined ? undefined : { ...job, ...types, isGpl: GPL_COMPATIBLE.has(license) };
}

/** The job, done where it is asked. */
export const runVerification = (job: VerificationJob, btf: BtfTypes | undefined): Result<VerifiedBytes, Refusal> =>
  verifyBytes({ ...job, bytes: fromHex(job.bytecode) ?? new Uint8Array(), logLevel: 1 }, btf);

/** What came of it, as a load request takes it; a refusal has its rule's page and the verifier's log. */
export function verifiedProgram(answer: Result<VerifiedBytes, Refusal>): Result<VerifiedProgram> {
  if (!answer.ok) return err(programFault(answer.fault));
  const { code, stackDepths, maxCtxOffset, kept } = answer.value;
  return ok({ code, stackDepths, maxCtxOffset, ...(kept === undefined ? {} : { kept }) });
}
