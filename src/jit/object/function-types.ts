/** What the verifier knows of functions by their types alone: btf_prepare_func_args, kernel/bpf/btf.c (6.12). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../image/index.ts';
import type { FunctionArg, FunctionTypes } from '../verify/index.ts';
import { essentialName } from './core/index.ts';
import type { LinkedFunction } from './debug-info.ts';
import { isEnum, type ObjectBtf, resolveSize } from './object-btf.ts';
import type { SectionType } from './section-names.ts';

const K = BTF_KIND;
/** MAX_BPF_FUNC_REG_ARGS (include/linux/bpf.h). */
const ARGS_MAX = 5;
/** What kprobe programs call theirs: a typedef in the kernel, and some declare a struct of that name. */
const REGS = 'bpf_user_pt_regs_t';
const CONTEXTS: readonly string[] = [
  REGS,
  'pt_regs',
  'bpf_raw_tracepoint_args',
  '__sk_buff',
  'xdp_md',
  'bpf_perf_event_data',
];

interface Tag {
  readonly index: number;
  readonly name: string;
}

type Tags = ReadonlyMap<number, readonly Tag[]>;

const TAGS = new WeakMap<ObjectBtf, Tags>();

/** `arg:` tags of each function (__arg_ctx, __arg_nonnull … of bpf_helpers.h). */
function argumentTags(btf: ObjectBtf): Tags {
  const known = TAGS.get(btf);
  if (known !== undefined) return known;
  const found = new Map<number, Tag[]>();
  const { types } = btf;
  for (let id = 1; id < btf.count; id++) {
    if (types.kind(id) !== K.DECL_TAG || !types.name(id).startsWith('arg:')) continue;
    const func = types.sizeOrType(id);
    found.set(func, [...(found.get(func) ?? []), { index: types.tail(id, 0), name: types.name(id).slice(4) }]);
  }
  TAGS.set(btf, found);
  return found;
}

/** The struct that programs of a type have for their context; an extension has its target's. */
function isContextName(type: SectionType, name: string): boolean {
  if (type === 'freplace') return CONTEXTS.includes(name);
  if (type === 'raw_tracepoint') return name === 'bpf_raw_tracepoint_args';
  return (name === 'pt_regs' || name === REGS) && /probe|syscall/.test(type);
}

/** btf_is_prog_ctx_type: by the name of what a pointer points to. */
function isContext(types: BtfTypes, type: SectionType, pointee: number): boolean {
  let id = pointee;
  for (let depth = 0; depth < ARGS_MAX && types.kind(id) !== K.TYPEDEF; depth++) {
    if (![K.CONST, K.VOLATILE, K.RESTRICT, K.TYPE_TAG].some((kind) => kind === types.kind(id))) break;
    id = types.sizeOrType(id);
  }
  const isRegs = types.kind(id) === K.TYPEDEF && types.name(id) === REGS;
  if (isRegs && /probe|syscall|freplace/.test(type)) return true;
  const bare = stripBtf(types, pointee);
  return types.kind(bare) === K.STRUCT && isContextName(type, types.name(bare));
}

type Problem = NonNullable<FunctionTypes['problem']>;

const KNOWN_TAGS = new Set(['ctx', 'trusted', 'nonnull', 'nullable', 'arena']);
const invalid = (text: string): Problem => ({ errno: 'EINVAL', text });
const unsupported = (text: string): Problem => ({ errno: 'EOPNOTSUPP', text });

interface Parameter {
  readonly types: BtfTypes;
  readonly program: SectionType;
  readonly index: number;
  readonly type: number;
  readonly tags: ReadonlySet<string>;
}

function pointerArg({ types, program, index, type, tags }: Parameter): FunctionArg | Problem {
  const pointee = types.sizeOrType(type);
  const bare = stripBtf(types, pointee);
  const mixed = invalid(`arg#${index} has invalid combination of tags`);
  if (tags.has('ctx') || isContext(types, program, pointee)) {
    return [...tags].some((tag) => tag !== 'ctx') ? mixed : { kind: 'ctx' };
  }
  if (tags.has('arena') || types.name(bare) === 'bpf_dynptr')
    return unsupported(`arg#${index} is a pointer that is not built: dynptrs and arenas`);
  if (tags.has('trusted')) {
    if (tags.has('nonnull')) return mixed;
    if (types.kind(bare) !== K.STRUCT) return invalid(`arg#${index} pointer type of trusted argument is no struct`);
    return { kind: 'trusted', struct: essentialName(types.name(bare)), mayBeNull: tags.has('nullable') };
  }
  if (tags.has('nullable')) return mixed;
  const size = resolveSize(types, pointee);
  if (size !== undefined) return { kind: 'mem', size, mayBeNull: !tags.has('nonnull') };
  const kindText = types.kind(bare) === K.FWD ? 'FWD' : types.kind(bare) === 0 ? 'UNKNOWN' : 'FUNC_PROTO';
  const what = `reference type('${kindText} ${types.name(bare)}') size cannot be determined: -22`;
  return invalid(`arg#${index} ${what}`);
}

function argOf(parameter: Parameter, name: string): FunctionArg | Problem {
  const { types, index, type, tags } = parameter;
  if ([...tags].some((tag) => !KNOWN_TAGS.has(tag))) return unsupported(`arg#${index} has unsupported set of tags`);
  const kind = types.kind(type);
  if (kind === K.PTR) return pointerArg(parameter);
  if (tags.size > 0) return invalid(`arg#${index} has pointer tag, but is not a pointer type`);
  if (kind === K.INT || isEnum(kind)) return { kind: 'scalar' };
  const text = ['STRUCT', 'UNION'][kind - K.STRUCT] ?? 'UNKNOWN';
  return invalid(`Arg#${index} type ${text} in ${name}() is not supported yet.`);
}

function typesOf(btf: ObjectBtf, program: SectionType, { name, type, isGlobal }: LinkedFunction): FunctionTypes {
  const { types } = btf;
  const common = { name, isGlobal };
  if (type === undefined) return { ...common, args: [], problem: invalid('Global functions need valid BTF') };
  const proto = types.sizeOrType(type);
  const count = types.vlen(proto);
  if (count > ARGS_MAX) {
    const text = `Global function ${name}() with ${count} > ${ARGS_MAX} args. Buggy compiler.`;
    return { ...common, args: [], problem: invalid(text) };
  }
  const tagged = argumentTags(btf).get(type) ?? [];
  const found = Array.from({ length: count }, (_, index) =>
    argOf(
      {
        types,
        program,
        index,
        type: stripBtf(types, types.tail(proto, index * 2 + 1)),
        tags: new Set(tagged.filter((tag) => tag.index === index).map((tag) => tag.name)),
      },
      name,
    ),
  );
  const result = types.kind(stripBtf(types, types.sizeOrType(proto)));
  const isNumber = result === K.INT || isEnum(result);
  const problem = isNumber
    ? found.find((each) => 'errno' in each)
    : invalid(`Global function ${name}() doesn't return scalar. Only those are supported.`);
  const args = found.map((each): FunctionArg => ('errno' in each ? { kind: 'mem', size: 0, mayBeNull: true } : each));
  return { ...common, args, ...(problem !== undefined && 'errno' in problem ? { problem } : {}) };
}

/** By functions in the order in which they stand; undefined when the object has no types for them. */
export function functionTypes(
  btf: ObjectBtf,
  program: SectionType,
  functions: readonly LinkedFunction[],
): readonly FunctionTypes[] | undefined {
  if (functions.every(({ type }) => type === undefined)) return undefined;
  return [...functions]
    .sort((a, b) => a.start - b.start)
    .map((each, index) =>
      // A program gets its context, whatever its author calls that.
      index === 0 && program !== 'freplace'
        ? { name: each.name, isGlobal: each.isGlobal, args: [{ kind: 'ctx' as const }] }
        : typesOf(btf, program, each),
    );
}
