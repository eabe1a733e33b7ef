/** The number that a relocation stands for (bpf_core_calc_relo, tools/lib/bpf/relo_core.c, 6.12). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../../image/index.ts';
import { isEnum, type Member, memberOf, resolveSize } from '../object-btf.ts';
import { fail } from './core-fault.ts';
import type { CoreKind } from './relocation-kind.ts';
import { subjectOf } from './relocation-kind.ts';
import { type Accessor, type CoreSpec, enumeratorValue } from './spec.ts';

const BITS = 8;
const BOOL_OR_SIGNED = 1;
const WORD_BITS = 64;

interface Value {
  readonly value: bigint;
  /** Bytes of the field where an instruction reads it; 0 where it does not. */
  readonly size: number;
  readonly type: number;
  /** False where compilers may disagree about it, so that the instruction's own number proves nothing. */
  readonly isCertain: boolean;
}

const plain = (value: number | bigint, isCertain = true): Value => ({
  value: BigInt(value),
  size: 0,
  type: 0,
  isCertain,
});

function elementValue(kind: CoreKind, spec: CoreSpec, { type }: Accessor): Value {
  const size = resolveSize(spec.types, type) ?? fail(`type ${type} has no size`);
  if (kind === 'byte_off') return { value: BigInt(Math.floor(spec.bitOffset / BITS)), size, type, isCertain: true };
  if (kind === 'byte_sz') return plain(size);
  return fail(`${kind} of an array's element`);
}

/** The bytes that are read to get at a field: of a bit field, the fewest that an integer of its type or wider has. */
function storage(spec: CoreSpec, { bitSize }: Member, type: number): { readonly at: number; readonly bytes: number } {
  const { types, bitOffset } = spec;
  if (bitSize === 0) {
    const bytes = resolveSize(types, type) ?? fail(`type ${type} has no size`);
    return { at: Math.floor(bitOffset / BITS), bytes };
  }
  let bytes = types.sizeOrType(type);
  if (![1, 2, 4, 8, 16].includes(bytes)) fail(`a bit field of type ${type} with ${bytes} bytes`);
  const start = (): number => Math.floor(Math.floor(bitOffset / BITS) / bytes) * bytes;
  while (bitOffset + bitSize - start() * BITS > bytes * BITS) {
    if (bytes >= 8) fail('the bit field cannot be read with 64 bits', 'E2BIG');
    bytes *= 2;
  }
  return { at: start(), bytes };
}

function isSigned(types: BtfTypes, type: number): boolean {
  if (isEnum(types.kind(type))) return types.flag(type);
  return types.kind(type) === BTF_KIND.INT && ((types.tail(type, 0) >>> 24) & BOOL_OR_SIGNED) !== 0;
}

function fieldValue(kind: CoreKind, spec: CoreSpec): Value {
  const accessor = spec.accessors.at(-1) ?? fail('it names nothing');
  if (accessor.name === undefined) return elementValue(kind, spec, accessor);
  const { types, bitOffset } = spec;
  const member = memberOf(types, accessor.type, accessor.index);
  const type = stripBtf(types, member.type);
  const { at, bytes } = storage(spec, member, type);
  const isBitField = member.bitSize > 0;
  const bits = isBitField ? member.bitSize : bytes * BITS;
  switch (kind) {
    case 'byte_off':
      if (isBitField) return plain(at, false);
      return { value: BigInt(at), size: bytes, type, isCertain: true };
    case 'byte_sz':
      return plain(bytes, !isBitField);
    case 'signed':
      return plain(isSigned(types, type) ? 1 : 0);
    case 'lshift_u64':
      return plain(BigInt.asUintN(WORD_BITS, BigInt(WORD_BITS - (bitOffset + bits - at * BITS))), !isBitField);
    case 'rshift_u64':
      return plain(BigInt.asUintN(WORD_BITS, BigInt(WORD_BITS - bits)));
    default:
      return fail(`${kind} is about no field`);
  }
}

/** What a relocation is in the types that `spec` is of; undefined: it has no value there, and the instruction must not run. */
function valueIn(kind: CoreKind, spec: CoreSpec | undefined): Value | undefined {
  switch (kind) {
    case 'field_exists':
    case 'type_exists':
    case 'type_matches':
    case 'enumval_exists':
      return plain(spec === undefined ? 0 : 1);
    case 'type_size':
      if (spec === undefined) return plain(0);
      return plain(resolveSize(spec.types, spec.root) ?? fail(`type ${spec.root} has no size`));
    case 'target_type_id':
      // Ids change when objects are linked.
      return plain(spec?.root ?? 0, false);
    case 'enumval_value': {
      const [accessor] = spec?.accessors ?? [];
      if (spec === undefined || accessor === undefined) return undefined;
      return plain(enumeratorValue(spec.types, accessor.type, accessor.index));
    }
    default:
      return spec === undefined ? undefined : fieldValue(kind, spec);
  }
}

/** How an instruction is to be changed. */
export interface CoreResult {
  /** The kernel has nothing of the kind: the instruction is replaced by one that the verifier refuses. */
  readonly isPoisoned: boolean;
  /** What the instruction must have now; undefined: whatever it has. */
  readonly from: bigint | undefined;
  readonly to: bigint;
  /** Bytes that a load or store has now, and is to have. */
  readonly fromSize: number;
  readonly toSize: number;
  /** Reading the field with another size would not give its value. */
  readonly isSizeWrong: boolean;
}

/** Pointers, and integers without a sign, keep their value when they are read wider or narrower. */
function mayResize(local: BtfTypes, from: number, target: BtfTypes, to: number): boolean {
  const isPointer = local.kind(from) === BTF_KIND.PTR && target.kind(to) === BTF_KIND.PTR;
  const isInteger = local.kind(from) === BTF_KIND.INT && target.kind(to) === BTF_KIND.INT;
  const encoding = (types: BtfTypes, id: number): number => (types.tail(id, 0) >>> 24) & 0xf;
  return (
    isPointer || (isInteger && encoding(local, from) !== BOOL_OR_SIGNED && encoding(target, to) !== BOOL_OR_SIGNED)
  );
}

export function calculate(kind: CoreKind, local: CoreSpec, target: CoreSpec | undefined): CoreResult {
  const from = valueIn(kind, local) ?? fail(`${kind} has no value in the object itself`);
  const to = valueIn(kind, target);
  const expected = from.isCertain ? from.value : undefined;
  if (to === undefined) return { isPoisoned: true, from: expected, to: 0n, fromSize: 0, toSize: 0, isSizeWrong: false };
  const differs = subjectOf(kind) === 'field' && from.size !== to.size;
  return {
    isPoisoned: false,
    from: expected,
    to: to.value,
    fromSize: from.size,
    toSize: to.size,
    isSizeWrong: differs && (target === undefined || !mayResize(local.types, from.type, target.types, to.type)),
  };
}
