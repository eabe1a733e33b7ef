/** One program out of an object: its functions behind it, its relocations carried out. */
import {
  BPF_CALL,
  BPF_INSN_SIZE,
  BPF_INSNS_MAX,
  BPF_JMP,
  BPF_LD_IMM64,
  BPF_MAX_SUBPROGS,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  immediateHalves,
} from '../bpf/index.ts';
import { CodeBytes } from './code-bytes.ts';
import { CoreProblem, patchCore } from './core/index.ts';
import type { CoreAnswers } from './core-answers.ts';
import type { Extern } from './extern.ts';
import { functionAt, functionBytes, type ObjectFunction, TEXT_SECTION } from './functions.ts';
import { type ObjectPlace, refuseBy } from './object-fault.ts';
import type { OpenedObject } from './open-object.ts';
import type { Reference, References } from './references.ts';

const CALL = BPF_JMP | BPF_CALL;

export interface LinkInput {
  readonly object: OpenedObject;
  readonly references: References;
  readonly core: CoreAnswers;
  /** Place of `.kconfig` among the maps. */
  readonly configMap: number;
}

/** A function where it stands in the linked program. */
export interface PlacedFunction {
  readonly function: ObjectFunction;
  /** First slot. */
  readonly start: number;
}

export interface LinkedCode {
  readonly bytes: Uint8Array;
  /** Ascending; the first is the program. */
  readonly functions: readonly PlacedFunction[];
  /** Maps that its instructions name, by their places in the object, ascending. */
  readonly maps: readonly number[];
}

interface Linking extends LinkInput {
  readonly code: CodeBytes;
  readonly placed: Map<ObjectFunction, number>;
  readonly maps: Set<number>;
  readonly text: number;
}

const placeOf = (fn: ObjectFunction, slot: number): ObjectPlace => ({
  section: fn.section.name,
  offset: (fn.start + slot) * BPF_INSN_SIZE,
});

const bad = (fn: ObjectFunction, slot: number, what: string): never =>
  refuseBy('bpf.object.relocation', 'EINVAL', placeOf(fn, slot), what);

/** The function of `.text` that an instruction names, as bpf_object__reloc_code finds it. */
function calleeOf(linking: Linking, fn: ObjectFunction, slot: number, at: number): ObjectFunction | undefined {
  const { code, object, references, text } = linking;
  const reference = references.get(fn.section.index)?.get(fn.start + slot);
  if (reference?.kind === 'extern') return undefined;
  const isCall = code.opcode(at) === CALL && code.source(at) === BPF_PSEUDO_CALL;
  // The compiler leaves it to the loader to say that an immediate is a function's address.
  if (reference?.kind === 'function' && code.opcode(at) === BPF_LD_IMM64) code.setSource(at, BPF_PSEUDO_FUNC);
  const isAddress = code.opcode(at) === BPF_LD_IMM64 && code.source(at) === BPF_PSEUDO_FUNC;
  if (!isCall && !isAddress) return undefined;
  const imm = code.imm(at);
  let target: number;
  if (reference === undefined) {
    if (isAddress) bad(fn, slot, 'the address of a function has no relocation');
    target = fn.start + slot + imm + 1;
  } else if (reference.kind === 'call') target = reference.base / BPF_INSN_SIZE + imm + 1;
  else if (reference.kind === 'function') target = (reference.base + imm) / BPF_INSN_SIZE;
  else return bad(fn, slot, 'a call of data');
  const callee = Number.isInteger(target) ? functionAt(object.functions, text, target) : undefined;
  if (callee === undefined || callee.start !== target)
    return bad(fn, slot, `no function of .text begins at its instruction ${target}`);
  return callee;
}

function applyCore({ code, core }: Linking, fn: ObjectFunction, start: number): void {
  for (const { slot, place, result } of core.of(fn)) {
    try {
      if ('problem' in result) throw result.problem;
      patchCore(code, start + slot, result);
    } catch (error) {
      if (!(error instanceof CoreProblem)) throw error;
      const { section, offset } = placeOf(fn, slot);
      const what = `the relocation of ${section}+0x${offset.toString(16)}, in ${fn.name}: ${error.message}`;
      refuseBy('bpf.object.core', error.errno, place, what);
    }
  }
}

/** Puts a function behind what is there, then, depth first, those that it calls and that are not there yet. */
function append(linking: Linking, fn: ObjectFunction): void {
  const { code, placed } = linking;
  const start = code.length;
  if (placed.size >= BPF_MAX_SUBPROGS)
    refuseBy('bpf.object.size', 'E2BIG', placeOf(fn, 0), `a program of more than ${BPF_MAX_SUBPROGS} functions`);
  if (start + fn.length > BPF_INSNS_MAX)
    refuseBy('bpf.object.size', 'E2BIG', placeOf(fn, 0), `a program of more than ${BPF_INSNS_MAX} instructions`);
  placed.set(fn, start);
  code.append(functionBytes(fn));
  applyCore(linking, fn, start);
  for (let slot = 0; slot < fn.length; slot++) {
    const at = start + slot;
    const callee = calleeOf(linking, fn, slot, at);
    if (callee === undefined) continue;
    if (!placed.has(callee)) append(linking, callee);
    code.setImm(at, (placed.get(callee) as number) - at - 1);
  }
}

function wide(linking: Linking, fn: ObjectFunction, slot: number, at: number): void {
  if (slot + 1 >= fn.length) bad(fn, slot, 'half a 64-bit immediate');
  if (linking.code.opcode(at) !== BPF_LD_IMM64) bad(fn, slot, 'no 64-bit immediate');
}

/** An address, or the number of a variable or function of the kernel's BTF, whose address the kernel looks up. */
function putExtern(code: CodeBytes, at: number, extern: Extern): void {
  if (extern.kind === 'btf-id') {
    code.setSource(at, BPF_PSEUDO_BTF_ID);
    code.setImm(at, extern.id);
    code.setImm(at + 1, 0);
    return;
  }
  const [low, high] = immediateHalves(extern.kind === 'address' ? extern.address : 0n);
  code.setImm(at, low);
  code.setImm(at + 1, high);
}

/** As bpf_object__relocate_data does for a loader that makes the maps afterwards: maps are named by their places. */
function apply(linking: Linking, fn: ObjectFunction, slot: number, at: number, reference: Reference): void {
  const { code, maps, configMap } = linking;
  const value = (map: number, offset: number): void => {
    wide(linking, fn, slot, at);
    maps.add(map);
    code.setSource(at, BPF_PSEUDO_MAP_IDX_VALUE);
    code.setImm(at, map);
    code.setImm(at + 1, offset);
  };
  switch (reference.kind) {
    case 'map':
      wide(linking, fn, slot, at);
      maps.add(reference.map);
      code.setSource(at, BPF_PSEUDO_MAP_IDX);
      code.setImm(at, reference.map);
      break;
    case 'value':
      value(reference.map, code.imm(at) + reference.base);
      break;
    case 'extern': {
      const { extern, isCall } = reference;
      if (extern.kind === 'config') value(configMap, extern.offset);
      else if (isCall && extern.kind === 'missing-function') code.set(at, CALL, 0, 0, extern.poison);
      else {
        wide(linking, fn, slot, at);
        putExtern(code, at, extern);
      }
      break;
    }
    default:
      break;
  }
}

export function linkCode(input: LinkInput, program: ObjectFunction): LinkedCode {
  const text = input.object.file.sections.find(({ name }) => name === TEXT_SECTION)?.index ?? -1;
  const linking: Linking = { ...input, code: new CodeBytes(program.length), placed: new Map(), maps: new Set(), text };
  append(linking, program);
  for (const [fn, start] of linking.placed) {
    const references = input.references.get(fn.section.index);
    for (let slot = 0; slot < fn.length; slot++) {
      const reference = references?.get(fn.start + slot);
      if (reference !== undefined) apply(linking, fn, slot, start + slot, reference);
    }
  }
  return {
    bytes: linking.code.bytes(),
    functions: [...linking.placed].map(([fn, start]) => ({ function: fn, start })),
    maps: [...linking.maps].sort((a, b) => a - b),
  };
}

/** The same code with its maps counted as they stand in `maps`: the first of them is number 0. */
export function countingMaps(bytes: Uint8Array, maps: readonly number[]): Uint8Array {
  const code = new CodeBytes(bytes.length / BPF_INSN_SIZE);
  code.append(bytes);
  for (let slot = 0; slot < code.length; slot++) {
    if (code.opcode(slot) !== BPF_LD_IMM64) continue;
    const source = code.source(slot);
    if (source === BPF_PSEUDO_MAP_IDX || source === BPF_PSEUDO_MAP_IDX_VALUE)
      code.setImm(slot, maps.indexOf(code.imm(slot)));
    slot++;
  }
  return code.bytes();
}
