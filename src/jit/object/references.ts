/** What the relocations of an object's instructions refer to (bpf_program__record_reloc, tools/lib/bpf/libbpf.c, 6.12). */
import { BPF_CALL, BPF_INSN_SIZE, BPF_JMP, BPF_LD_IMM64, BPF_PSEUDO_CALL } from '../bpf/index.ts';
import {
  type ElfFile,
  type ObjectSection,
  type ObjectSymbol,
  type Relocation,
  relocationsOf,
  SHN_UNDEF,
  SHT,
  STB,
  STT,
} from './elf-file.ts';
import type { Extern } from './extern.ts';
import { type Externs, isExternSymbol } from './externs.ts';
import { TEXT_SECTION } from './functions.ts';
import { MAPS_SECTION, type ObjectMap } from './map-definitions.ts';
import { type ObjectPlace, refuseBy } from './object-fault.ts';

export type Reference =
  /** A function of `.text`; the instruction's immediate counts from it. */
  | { readonly kind: 'call' | 'function'; readonly base: number }
  | { readonly kind: 'map'; readonly map: number }
  /** A place in a map's value; the instruction's immediate counts from it. */
  | { readonly kind: 'value'; readonly map: number; readonly base: number }
  | { readonly kind: 'extern'; readonly isCall: boolean; readonly extern: Extern };

export interface ReferenceContext {
  readonly file: ElfFile;
  readonly maps: readonly ObjectMap[];
  readonly externs: Externs;
}

const CALL = BPF_JMP | BPF_CALL;

const bad = (place: ObjectPlace, what: string): never => refuseBy('bpf.object.relocation', 'EINVAL', place, what);

/** True for symbols of functions in `.text`, and for the section itself, from which static ones count. */
function isFunctionSymbol(symbol: ObjectSymbol, section: ObjectSection): boolean {
  if (section.name !== TEXT_SECTION) return false;
  if (symbol.binding === STB.LOCAL) return symbol.type === STT.SECTION;
  return symbol.type === STT.FUNC;
}

function externReference(context: ReferenceContext, { symbol, place }: Relocation, isCall: boolean): Reference {
  const extern = context.externs.bySymbol.get(symbol.index);
  if (extern === undefined) return bad(place, `extern ${symbol.name} is not known`);
  if (isCall && extern.kind === 'btf-id' && extern.isFunction) {
    const what = `extern ${symbol.name} is a function of the kernel, and kfuncs are not called here`;
    return refuseBy('bpf.object.extern', 'EOPNOTSUPP', place, what);
  }
  if (isCall && extern.kind !== 'missing-function') return bad(place, `${symbol.name} is no function`);
  return { kind: 'extern', isCall, extern };
}

function callReference(symbol: ObjectSymbol, section: ObjectSection, source: number, place: ObjectPlace): Reference {
  if (source !== BPF_PSEUDO_CALL) bad(place, `the call of ${symbol.name} is none of a function (source ${source})`);
  if (section.name !== TEXT_SECTION) bad(place, `${symbol.name} is called and is in ${section.name}, not in .text`);
  if (symbol.value % BPF_INSN_SIZE !== 0) bad(place, `${symbol.name} begins inside an instruction`);
  return { kind: 'call', base: symbol.value };
}

function dataReference(
  { maps }: ReferenceContext,
  symbol: ObjectSymbol,
  section: ObjectSection,
  place: ObjectPlace,
): Reference {
  const isDefinition = section.name === MAPS_SECTION;
  const map = maps.findIndex(
    (each) => each.section === section.index && (!isDefinition || each.offset === symbol.value),
  );
  if (map >= 0) return isDefinition ? { kind: 'map', map } : { kind: 'value', map, base: symbol.value };
  return bad(place, `${symbol.name} in ${section.name} is neither a map nor global data`);
}

function referenceOf(context: ReferenceContext, target: ObjectSection, relocation: Relocation): Reference {
  const { offset, symbol, place } = relocation;
  if (offset % BPF_INSN_SIZE !== 0) bad(place, `it changes ${target.name} inside an instruction`);
  if (offset + BPF_INSN_SIZE > target.size) bad(place, `it changes ${target.name} past its end`);
  const opcode = target.bytes[offset] as number;
  const source = (target.bytes[offset + 1] as number) >> 4;
  if (opcode !== CALL && opcode !== BPF_LD_IMM64)
    bad(place, `${symbol.name} is needed by opcode 0x${opcode.toString(16)}, which takes no address`);
  if (isExternSymbol(symbol)) return externReference(context, relocation, opcode === CALL);
  const section = context.file.sections[symbol.section];
  if (section === undefined || symbol.section === SHN_UNDEF)
    return bad(place, `${symbol.name} is in no section: is a global variable without a value missing its definition?`);
  if (opcode === CALL) return callReference(symbol, section, source, place);
  if (isFunctionSymbol(symbol, section)) {
    if (symbol.value % BPF_INSN_SIZE !== 0) bad(place, `${symbol.name} begins inside an instruction`);
    return { kind: 'function', base: symbol.value };
  }
  return dataReference(context, symbol, section, place);
}

/** References by section and slot, of sections of instructions only: nothing else is relocated. */
export type References = ReadonlyMap<number, ReadonlyMap<number, Reference>>;

export function readReferences(context: ReferenceContext): References {
  const found = new Map<number, ReadonlyMap<number, Reference>>();
  for (const section of context.file.sections) {
    if (section.type !== SHT.PROGBITS || !section.executable) continue;
    const slots = new Map<number, Reference>();
    for (const relocation of relocationsOf(context.file, section))
      slots.set(relocation.offset / BPF_INSN_SIZE, referenceOf(context, section, relocation));
    found.set(section.index, slots);
  }
  return found;
}
