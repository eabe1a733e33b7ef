/** BPF objects: read and relocated for the image here, then made as one command, which has instructions and maps and no object any more. */
import { ok, type Result, toHex } from '../base/index.ts';
import { kernelBtf } from '../image/index.ts';
import {
  type BpfObject,
  choosePrograms,
  countingMaps,
  type FunctionTypes,
  isOfProbes,
  isPlacedLater,
  type LinkedProgram,
  loadBpfObject,
  MAP_CPUS,
  type MapSpec,
  type ObjectKernel,
  type ObjectProgram,
} from '../jit/index.ts';
import {
  BPF_PROGRAM_TYPES,
  type BpfFunctionInfo,
  type BpfProgramType,
  type CreateMapRequest,
  decideLoadObject,
  type LoadObjectRequest,
  type ObjectProgramRequest,
  objectVerificationJob,
  programFault,
  refuse,
  SECTION_TYPE,
  type World,
} from '../registry/index.ts';
import { announcePokes } from './announce-pokes.ts';
import type { Command } from './command.ts';
import { reject } from './commands.ts';
import type { Kernel } from './kernel.ts';
import { programView } from './program-view.ts';
import type { Caller } from './service.ts';
import type { ObjectAnswer, ObjectRequest } from './service-programs.ts';
import type { Verifications } from './verifications.ts';

interface LoadObjectCommand extends LoadObjectRequest {
  /** The answer is a list. */
  readonly isList: boolean;
}

export const LOAD_OBJECT: Command<LoadObjectCommand, ObjectAnswer> = {
  kind: 'load-object',
  describe: ({ programs }) =>
    `load ${programs.length === 1 ? 'a program' : `${programs.length} programs`} of an object`,
  run(turn, { isList, ...request }) {
    const { kernel, held, caller, now } = turn;
    const identity = { client: caller.client, tenant: caller.tenant, nowMs: now.ms };
    const decision = decideLoadObject(kernel.world, kernel.state, kernel.text, { request, identity, newId: now.newId });
    kernel.apply(held, decision, { client: caller.client, kind: 'program' });
    const { outcome } = decision;
    if (outcome.kind === 'refused') return reject(kernel, caller, { program: 'loaded' }, outcome.fault);
    for (const { id, spec, client } of outcome.maps) {
      const { name, type } = spec;
      kernel.events.append('map', { map: id, name, type, client, by: caller.client, what: 'created' });
    }
    for (const { id, name, type, insns, client } of outcome.programs)
      kernel.events.append('program', { program: id, name, type, insns, client, by: caller.client, what: 'loaded' });
    announcePokes(kernel, caller, null, decision.ops);
    const items = outcome.programs.map((program) => programView(kernel, program));
    const [first] = items;
    return ok(isList || first === undefined ? { items } : first);
  },
};

const objectKernel = ({ image }: World): ObjectKernel => ({
  btf: kernelBtf(image),
  version: image.version,
  cpus: MAP_CPUS,
  addressesOf: (name) => image.symbols.byName(name).map(({ address }) => address),
});

const mapRequest = ({
  name,
  type,
  keySize,
  valueSize,
  maxEntries,
  flags,
  initial,
  isFrozen,
  spinLock,
}: MapSpec): CreateMapRequest => ({
  name: name.slice(0, MAP_NAME_MAX),
  type,
  keySize,
  valueSize,
  maxEntries,
  flags,
  ...(initial === undefined ? {} : { initial: toHex(initial) }),
  ...(isFrozen === true ? { frozen: true } : {}),
  ...(spinLock === undefined ? {} : { spinLock }),
});

/** BPF_OBJ_NAME_LEN without its NUL: libbpf cuts longer names. */
const MAP_NAME_MAX = 15;
const PROGRAM_NAME_MAX = 64;

function programType({ type }: LinkedProgram): BpfProgramType | undefined {
  const wanted = isOfProbes(type) ? 'kprobe' : type;
  return BPF_PROGRAM_TYPES.find((known) => known === wanted);
}

/** The function or tracepoint that a program is bound to; of the others the attachment says where. `wanted` is instead of what the section says. */
function attachTo({ type, target }: LinkedProgram, wanted: string | undefined): string | undefined {
  if (wanted !== undefined) return wanted;
  if (target === undefined || isPlacedLater(type)) return undefined;
  return type === 'lsm' ? `bpf_lsm_${target}` : target;
}

/** What others see of a function when they attach to it. */
const functionInfo = ({ name, isGlobal, args }: FunctionTypes): BpfFunctionInfo => ({
  name,
  isGlobal,
  args: args.map(({ kind }) => (kind === 'ctx' ? 'ctx' : kind === 'scalar' ? 'int' : 'mem')),
});

function programRequest(linked: LinkedProgram, wanted: string | undefined): Result<ObjectProgramRequest> {
  const { name, section, bytecode, mapIndices, isSleepable, types } = linked;
  const type = programType(linked);
  if (type === undefined)
    return {
      ok: false,
      fault: refuse(SECTION_TYPE, {
        errno: 'EOPNOTSUPP',
        detail: `${section}: programs of type ${linked.type} are read, and not loaded.`,
      }),
    };
  const target = attachTo(linked, wanted);
  return ok({
    type,
    name: name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, PROGRAM_NAME_MAX),
    bytecode: toHex(countingMaps(bytecode, mapIndices)),
    mapIndices,
    ...(isSleepable ? { isSleepable } : {}),
    ...(types === undefined ? {} : { functions: types.map(functionInfo) }),
    ...(target === undefined ? {} : { attachTo: target }),
  });
}

interface Linked {
  readonly request: ObjectProgramRequest;
  readonly functionTypes: readonly FunctionTypes[] | undefined;
}

function linkAll(
  object: BpfObject,
  chosen: readonly ObjectProgram[],
  wanted: string | undefined,
): Result<readonly Linked[]> {
  const requests: Linked[] = [];
  for (const program of chosen) {
    const linked = object.link(program);
    if (!linked.ok) return { ok: false, fault: programFault(linked.fault) };
    const request = programRequest(linked.value, wanted);
    if (!request.ok) return request;
    requests.push({ request: request.value, functionTypes: linked.value.types });
  }
  return ok(requests);
}

interface ReadObject {
  readonly object: BpfObject;
  readonly command: LoadObjectCommand;
  /** By program: what its functions take. */
  readonly functionTypes: readonly (readonly FunctionTypes[] | undefined)[];
}

/** What the command is given: nothing in it depends on anything but the object and the image. */
function readObject(
  world: World,
  { bytes, name = 'object', section, all, attachTo }: ObjectRequest,
): Result<ReadObject> {
  const isList = all === true;
  const object = loadBpfObject({ bytes, name, kernel: objectKernel(world) });
  if (!object.ok) return { ok: false, fault: programFault(object.fault) };
  const chosen = choosePrograms(object.value, { section, isAll: isList });
  if (!chosen.ok) return { ok: false, fault: programFault(chosen.fault) };
  const linked = linkAll(object.value, chosen.value, attachTo);
  if (!linked.ok) return linked;
  const programs = linked.value.map(({ request }) => request);
  const initialPrograms = object.value.initialPrograms
    .map(({ map, index, program }) => ({ map, index, program: chosen.value.indexOf(program) }))
    // What is not loaded is not put into an array, either.
    .filter(({ program }) => program >= 0);
  const command = { isList, maps: object.value.maps.map(mapRequest), programs, initialPrograms };
  const functionTypes = linked.value.map((each) => each.functionTypes);
  return ok({ object: object.value, command, functionTypes });
}

/** Each program by itself, with its maps as they will be. */
async function verified(
  { world, state }: Pick<Kernel, 'world' | 'state'>,
  verifications: Verifications,
  { object, command, functionTypes }: ReadObject,
): Promise<Result<LoadObjectCommand>> {
  const programs: ObjectProgramRequest[] = [];
  for (const [index, program] of command.programs.entries()) {
    const maps = program.mapIndices.flatMap((map) => object.maps[map] ?? []);
    const job = objectVerificationJob(world, state, program, maps, {
      license: object.license,
      functionTypes: functionTypes[index],
    });
    const answer = job === undefined ? undefined : await verifications.verify(job);
    if (answer?.ok === false) return answer;
    programs.push(answer === undefined ? program : { ...program, verified: answer.value });
  }
  return ok({ ...command, programs });
}

export async function loadObject(
  kernel: Kernel,
  verifications: Verifications,
  caller: Caller,
  request: ObjectRequest,
): Promise<Result<ObjectAnswer>> {
  const read = readObject(kernel.world, request);
  const command = read.ok ? await verified(kernel, verifications, read.value) : read;
  if (!command.ok) return reject(kernel, caller, { program: 'loaded' }, command.fault);
  return kernel.execute(LOAD_OBJECT, caller, command.value);
}
