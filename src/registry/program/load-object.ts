/** An object's maps and programs, made together or not at all. */
import { invariant, ok, type ReadableText, type Result } from '../../base/index.ts';
import type { DecisionOf } from '../decision.ts';
import { refused } from '../decision.ts';
import { type CreateMapRequest, decideCreateMap, decideUpdateElement } from '../maps/decide.ts';
import type { BpfMap } from '../maps/state.ts';
import type { AttachIdentity } from '../model/request.ts';
import type { BpfProgram, KernelState } from '../model/state.ts';
import type { World } from '../world.ts';
import { decideLoadPrograms, type LoadProgramRequest } from './load.ts';

/** A program of an object, its maps being those of the object, by their places. */
export interface ObjectProgramRequest extends Omit<LoadProgramRequest, 'maps'> {
  /** Maps as its instructions count them. */
  readonly mapIndices: readonly number[];
}

export interface LoadObjectRequest {
  readonly maps: readonly CreateMapRequest[];
  readonly programs: readonly ObjectProgramRequest[];
  /** Elements that prog_arrays begin with; map and program by their places. */
  readonly initialPrograms: readonly { readonly map: number; readonly index: number; readonly program: number }[];
}

export interface LoadedObject {
  readonly maps: readonly BpfMap[];
  readonly programs: readonly BpfProgram[];
}

export type ObjectDecision = DecisionOf<LoadedObject>;

export interface LoadObjectInput {
  readonly request: LoadObjectRequest;
  /** What the maps and programs that are made belong to; each gets an id of its own. */
  readonly identity: Omit<AttachIdentity, 'id'>;
  readonly newId: (prefix: string) => string;
}

const KEY_SIZE = 4;

function keyOf(index: number): string {
  const key = Buffer.alloc(KEY_SIZE);
  key.writeUInt32LE(index);
  return key.toString('hex');
}

function withMaps(state: KernelState, { request, identity, newId }: LoadObjectInput) {
  const maps: BpfMap[] = [];
  let next = state;
  for (const map of request.maps) {
    const made = decideCreateMap(next, map, { ...identity, id: newId('map') });
    if (!made.ok) return made;
    next = made.value.state;
    maps.push(made.value.map);
  }
  return ok({ state: next, maps });
}

function withPrograms(state: KernelState, { request }: LoadObjectInput, loaded: LoadedObject): Result<KernelState> {
  let next = state;
  for (const { map, index, program } of request.initialPrograms) {
    const [into, value] = [loaded.maps[map], loaded.programs[program]];
    invariant(into !== undefined && value !== undefined, 'an element of what was made');
    const put = decideUpdateElement(next, into.id, { key: keyOf(index), program: value.id });
    if (!put.ok) return put;
    next = put.value.state;
  }
  return ok(next);
}

/** Makes an object's maps, loads its programs and fills its prog_arrays, as bpf_object__load does (tools/lib/bpf/libbpf.c, 6.12). */
export function decideLoadObject(
  world: World,
  state: KernelState,
  text: ReadableText,
  input: LoadObjectInput,
): ObjectDecision {
  const made = withMaps(state, input);
  if (!made.ok) return refused(state, made.fault);
  const { maps } = made.value;
  const requests = input.request.programs.map(({ mapIndices, ...program }) => ({
    request: { ...program, maps: mapIndices.flatMap((index) => maps[index]?.id ?? []) },
    identity: { ...input.identity, id: input.newId('prog') },
  }));
  const decision = decideLoadPrograms(world, made.value.state, text, requests);
  // Whatever else came of it (a site that is quarantined) stays; the maps go.
  const without = { ...decision.state, maps: state.maps, nextMap: state.nextMap };
  if (decision.outcome.kind === 'refused') return refused(without, decision.outcome.fault);
  const loaded = { maps, programs: decision.outcome.programs };
  const filled = withPrograms(decision.state, input, loaded);
  if (!filled.ok) return refused(state, filled.fault);
  return { ...decision, state: filled.value, outcome: { kind: 'granted', ...loaded } };
}
