/**
 * The schema builders of TypeBox that this service uses, with TypeBox's own types and none of its code: they only make plain JSON Schema, and
 * loading the package's 700 modules would cost a quarter of the time from start to ready.
 */
import type { Type as TypeBox } from 'typebox';

type Builders = Pick<
  typeof TypeBox,
  | 'Array'
  | 'Boolean'
  | 'Integer'
  | 'Null'
  | 'Number'
  | 'Object'
  | 'Optional'
  | 'Record'
  | 'String'
  | 'Union'
  | 'Unknown'
  | 'Unsafe'
>;

type Plain = Readonly<Record<string, unknown>>;

/** Marks a property that may be absent; not enumerable, so that it stays out of the document. */
const OPTIONAL = Symbol('optional');

const simple =
  (type: string) =>
  (options: Plain = {}): Plain => ({ type, ...options });

function objectSchema(properties: Readonly<Record<string, Plain>>, options: Plain = {}): Plain {
  const required = Object.keys(properties).filter((name) => !(OPTIONAL in (properties[name] ?? {})));
  return { type: 'object', ...(required.length === 0 ? {} : { required }), properties, ...options };
}

function optional(schema: Plain): Plain {
  return Object.defineProperty({ ...schema }, OPTIONAL, { value: true, enumerable: false });
}

const builders = {
  String: simple('string'),
  Integer: simple('integer'),
  Number: simple('number'),
  Boolean: simple('boolean'),
  Null: simple('null'),
  Unknown: (options: Plain = {}): Plain => ({ ...options }),
  Unsafe: (schema: Plain): Plain => ({ ...schema }),
  Array: (items: Plain, options: Plain = {}): Plain => ({ type: 'array', items, ...options }),
  Union: (anyOf: readonly Plain[], options: Plain = {}): Plain => ({ anyOf, ...options }),
  Object: objectSchema,
  Optional: optional,
  /** Only with string keys. */
  Record: (_key: Plain, value: Plain, options: Plain = {}): Plain => ({
    type: 'object',
    additionalProperties: value,
    ...options,
  }),
};

/** JSON Schema builders whose results have TypeBox's static types. */
export const Type = builders as unknown as Builders;
