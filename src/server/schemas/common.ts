/** Parts that several schemas share. A `title` makes a schema a named component of the published document. */
import type { TSchema } from 'typebox';
import { OWNER_KINDS } from '../../coordinator/index.ts';
import { Type } from './type.ts';

/** A closed set of strings as JSON Schema's `enum`, which is reported as one error and not one for each word. */
export const words = <const T extends readonly string[]>(values: T, description?: string) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...(description === undefined ? {} : { description }) });

export const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const Address = Type.String({ pattern: '^0x[0-9a-f]{16}$', description: 'Address, 64 bits, lower-case hex' });
export const HexBytes = Type.String({ pattern: '^([0-9a-f]{2})*$', description: 'Bytes, lower-case hex' });
export const Timestamp = Type.String({ description: 'ISO 8601' });
export const Kind = Type.Unsafe<(typeof OWNER_KINDS)[number]>({
  type: 'string',
  enum: [...OWNER_KINDS],
  title: 'OwnerKind',
});
export const StrictnessWord = words(['safe', 'linux']);

/** The longest symbol name of Linux has 511 bytes (KSYM_NAME_LEN is 512); a place adds an offset. */
const PLACE_LENGTH_MAX = 600;
const placeOptions = {
  minLength: 1,
  maxLength: PLACE_LENGTH_MAX,
  description: 'A place: `tcp_set_state`, `tcp_set_state+0x10` or `0xffffffff81a3c4d0`',
} as const;
export const Place = Type.String(placeOptions);
/** A place in a query string, where `+` must not turn into a space. */
export const QueryPlace = Type.String({ ...placeOptions, isPlace: true });
export const Pattern = Type.String({ minLength: 1, maxLength: 512, description: 'Only `*` and `?` are special' });

/** Request objects take no unknown field. */
export const strict = { additionalProperties: false } as const;

export const pageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
  cursor: Type.String({ minLength: 1, maxLength: 600, description: '`nextCursor` of the page before' }),
} as const;
export const optionalPageQuery = {
  limit: Type.Optional(pageQuery.limit),
  cursor: Type.Optional(pageQuery.cursor),
} as const;

export const pageOf = <T extends TSchema>(title: string, item: T) =>
  Type.Object({ items: Type.Array(item), nextCursor: nullable(Type.String()) }, { title });

export const Budget = Type.Record(Type.String(), Type.Number(), {
  description: 'What is left of each limited resource at this site',
});

/** Of a read that takes what it shows, and may wait for it. */
export const takeQuery = (item: string) => ({
  max: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 })),
  waitMs: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 60_000, description: `How long to wait for a first ${item}` }),
  ),
});
