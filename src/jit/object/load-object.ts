/** From an object's bytes to programs that a loader can take: what bpf_object__open_mem and the first half of bpf_object__load do. */
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import type { Btf } from '../../image/index.ts';
import { BPF_INSN_SIZE } from '../bpf/index.ts';
import type { MapSpec } from '../maps/index.ts';
import type { FunctionTypes } from '../verify/index.ts';
import { answerCore, type CoreAnswers } from './core-answers.ts';
import { functionsOf, type LinkedFunction, linesOf, type SourceLine } from './debug-info.ts';
import { type Externs, resolveExterns } from './externs.ts';
import { functionTypes } from './function-types.ts';
import type { ObjectFunction } from './functions.ts';
import { type LinkedCode, linkCode } from './link.ts';
import { type ProgramSlot, readProgramSlots } from './map-values.ts';
import { catchingObjectFault, placeText, printable, refuseBy } from './object-fault.ts';
import type { ObjectKernel } from './object-kernel.ts';
import { type OpenedObject, openBpfObject } from './open-object.ts';
import { type References, readReferences } from './references.ts';
import { meaningOf, type SectionMeaning } from './section-names.ts';

/** A program as an object names it, before it is linked. */
export interface ObjectProgram {
  /** Name of its function. */
  readonly name: string;
  readonly section: string;
  /** False for a section whose name begins with `?`: libbpf loads it only when asked. */
  readonly isLoadedByDefault: boolean;
}

/** A program with its functions behind it, relocated for one kernel. */
export interface LinkedProgram extends ObjectProgram, SectionMeaning {
  /**
   * `struct bpf_insn`, 8 bytes each. A map is named by its place in the object's maps (BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE); what the kernel
   * lacks is a call of helper 195896080, which the verifier refuses where it can be reached.
   */
  readonly bytecode: Uint8Array;
  readonly functions: readonly LinkedFunction[];
  readonly lines: readonly SourceLine[];
  /** What their types say of `functions`; undefined when the object has none. */
  readonly types: readonly FunctionTypes[] | undefined;
  /** Maps that it names, by their places in the object, ascending. */
  readonly mapIndices: readonly number[];
}

/** An element that a prog_array begins with. */
export interface InitialProgram {
  /** By place in `maps`. */
  readonly map: number;
  readonly index: number;
  readonly program: ObjectProgram;
}

/** An object for one kernel. */
export interface BpfObject {
  readonly license: string;
  readonly maps: readonly MapSpec[];
  readonly initialPrograms: readonly InitialProgram[];
  /** In the order of sections. */
  readonly programs: readonly ObjectProgram[];
  /** Types that `functions` and the maps' `btf` refer to. */
  readonly btf: Btf;
  /** Links one of `programs`. */
  link(program: ObjectProgram): Result<LinkedProgram>;
}

export interface LoadObjectRequest {
  readonly bytes: Uint8Array;
  /** The file's, without its ending. */
  readonly name: string;
  readonly kernel: ObjectKernel;
}

interface Prepared {
  readonly opened: OpenedObject;
  readonly externs: Externs;
  readonly references: References;
  readonly core: CoreAnswers;
  readonly slots: readonly ProgramSlot[];
}

function prepare(opened: OpenedObject, { kernel, name }: LoadObjectRequest): Prepared {
  const externs = resolveExterns(opened.file, opened.btf, kernel, name);
  const references = readReferences({ file: opened.file, maps: opened.maps, externs });
  const slots = readProgramSlots(opened.file, opened.functions, opened.maps);
  return { opened, externs, references, slots, core: answerCore(opened, kernel.btf) };
}

function meaning(fn: ObjectFunction): SectionMeaning {
  const section = fn.section.name;
  const found = meaningOf(section);
  const place = { section, offset: fn.start * BPF_INSN_SIZE };
  if (found === undefined)
    return refuseBy('bpf.object.section', 'EINVAL', place, `the section's name does not say what ${fn.name} is`);
  if (found === 'elsewhere')
    return refuseBy('bpf.object.section', 'EOPNOTSUPP', place, `${fn.name} is of a type that does not run here`);
  return found;
}

function linked(prepared: Prepared, fn: ObjectFunction, program: ObjectProgram): LinkedProgram {
  const { opened, references, core } = prepared;
  const means = meaning(fn);
  const code: LinkedCode = linkCode({ object: opened, references, core, configMap: opened.maps.length }, fn);
  const functions = functionsOf(opened, code.functions);
  return {
    ...program,
    ...means,
    bytecode: code.bytes,
    functions,
    types: functionTypes(opened.btf, means.type, functions),
    lines: linesOf(opened, code.functions),
    mapIndices: code.maps,
  };
}

/** Read and relocated for one kernel; programs are linked one by one. Faults are those of `openBpfObject`, and of externs and references. */
export function loadBpfObject(request: LoadObjectRequest): Result<BpfObject> {
  const opened = openBpfObject(request.bytes, request.name);
  if (!opened.ok) return opened;
  const prepared = catchingObjectFault(() => prepare(opened.value, request));
  if (!prepared.ok) return prepared;
  const { functions, maps, license, btf } = opened.value;
  const { config } = prepared.value.externs;
  const byProgram = new Map<ObjectProgram, ObjectFunction>(
    functions
      .filter(({ isSubprogram }) => !isSubprogram)
      .map((fn) => [
        { name: fn.name, section: fn.section.name, isLoadedByDefault: !fn.section.name.startsWith('?') },
        fn,
      ]),
  );
  const programOf = new Map([...byProgram].map(([program, fn]) => [fn, program]));
  return ok({
    license,
    initialPrograms: prepared.value.slots.flatMap(({ map, index, program: fn }) => {
      const program = programOf.get(fn);
      return program === undefined ? [] : [{ map, index, program }];
    }),
    maps: [...maps, ...(config === undefined ? [] : [config])].map(({ spec }) => sized(spec, request.kernel)),
    programs: [...byProgram.keys()],
    btf,
    link: (program) => {
      const fn = byProgram.get(program);
      if (fn === undefined) return err(unknownProgram(program));
      return catchingObjectFault(() => linked(prepared.value, fn, program));
    },
  });
}

const sized = (spec: MapSpec, { cpus }: ObjectKernel): MapSpec =>
  spec.type === 'perf_event_array' && spec.maxEntries === 0 ? { ...spec, maxEntries: cpus } : spec;

const unknownProgram = ({ section, name }: ObjectProgram): Fault => ({
  errno: 'ENOENT',
  rule: 'bpf.object.section',
  detail: printable(`${placeText({ section, offset: 0 })}: the object has no program ${name}`),
});
