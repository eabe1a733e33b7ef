import { BTF_KIND } from './btf-format.ts';
import type { BtfTypes } from './btf-types.ts';

/** Declarators nest this deep in no kernel; a cycle in a hostile file ends here. */
const DEPTH_MAX = 32;
const PARAMETERS_MAX = 64;
/** Types visited for one prototype; real ones take under 100. Parameters that have parameters could otherwise multiply without end. */
export const STEPS_MAX = 2000;

/** What is left of the work that one prototype may take. */
export interface Budget {
  steps: number;
}

const KEYWORD: Readonly<Record<number, string>> = {
  [BTF_KIND.STRUCT]: 'struct',
  [BTF_KIND.UNION]: 'union',
  [BTF_KIND.ENUM]: 'enum',
  [BTF_KIND.ENUM64]: 'enum',
};

/** gcc's names for integer types that C text writes otherwise. */
const INT_NAMES: Readonly<Record<string, string>> = {
  'long int': 'long',
  'long unsigned int': 'unsigned long',
  'long long int': 'long long',
  'long long unsigned int': 'unsigned long long',
  'short int': 'short',
  'short unsigned int': 'unsigned short',
  _Bool: 'bool',
};

const QUALIFIER: Readonly<Record<number, string>> = {
  [BTF_KIND.VOLATILE]: 'volatile',
  [BTF_KIND.CONST]: 'const',
  [BTF_KIND.RESTRICT]: 'restrict',
};

/** `left` and a declarator, with a space unless the declarator is empty or the type text ends in a star. */
const join = (left: string, declarator: string): string => (declarator === '' ? left : `${left} ${declarator}`);

function tagged(types: BtfTypes, id: number, kind: number): string {
  const keyword = kind === BTF_KIND.FWD ? (types.flag(id) ? 'union' : 'struct') : (KEYWORD[kind] as string);
  const name = types.name(id);
  return name === '' ? `${keyword} {...}` : `${keyword} ${name}`;
}

export function parameterList(types: BtfTypes, proto: number, budget: Budget, depth: number): string {
  const count = types.vlen(proto);
  if (count === 0) return 'void';
  const parts: string[] = [];
  for (let i = 0; i < Math.min(count, PARAMETERS_MAX); i++) {
    const type = types.tail(proto, i * 2 + 1);
    const isEllipsis = type === 0 && i === count - 1;
    parts.push(isEllipsis ? '...' : declare(types, type, types.string(types.tail(proto, i * 2)), budget, depth));
  }
  return parts.join(', ');
}

/**
 * C text of a declaration of `declarator` with that type, in the kernel's style: `struct sock *sk`, `int (*fn)(void *)`, `const char buf[16]`.
 * An empty declarator gives the type alone.
 */
export function declare(types: BtfTypes, id: number, declarator: string, budget: Budget, depth = 0): string {
  if (depth > DEPTH_MAX || budget.steps-- <= 0) return join('...', declarator);
  const kind = types.kind(id);
  const inner = types.sizeOrType(id);
  switch (kind) {
    case BTF_KIND.PTR: {
      const target = types.kind(inner);
      const needsParentheses = target === BTF_KIND.ARRAY || target === BTF_KIND.FUNC_PROTO;
      return declare(types, inner, needsParentheses ? `(*${declarator})` : `*${declarator}`, budget, depth + 1);
    }
    case BTF_KIND.ARRAY:
      return declare(types, types.tail(id, 0), `${declarator}[${types.tail(id, 2)}]`, budget, depth + 1);
    case BTF_KIND.FUNC_PROTO:
      return declare(types, inner, `${declarator}(${parameterList(types, id, budget, depth + 1)})`, budget, depth + 1);
    case BTF_KIND.VOLATILE:
    case BTF_KIND.CONST:
    case BTF_KIND.RESTRICT:
      return qualified(types, QUALIFIER[kind] as string, inner, declarator, budget, depth);
    case BTF_KIND.TYPE_TAG:
      return declare(types, inner, declarator, budget, depth + 1);
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
    case BTF_KIND.FWD:
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return join(tagged(types, id, kind), declarator);
    case BTF_KIND.UNKN:
      return join('void', declarator);
    case BTF_KIND.INT:
      return join(INT_NAMES[types.name(id)] ?? types.name(id), declarator);
    default:
      return join(types.name(id), declarator);
  }
}

/** A qualifier of a pointer stands after its star (`char *const p`), of anything else before the type. */
function qualified(
  types: BtfTypes,
  word: string,
  inner: number,
  declarator: string,
  budget: Budget,
  depth: number,
): string {
  if (types.kind(inner) === BTF_KIND.PTR) return declare(types, inner, join(word, declarator), budget, depth + 1);
  return `${word} ${declare(types, inner, declarator, budget, depth + 1)}`;
}
