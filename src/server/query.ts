/**
 * Query strings are text. Here they become what the route's schema says, explicitly and without guessing, before the schema is checked:
 * an `integer` is decimal digits, a `boolean` is `true` or `false`, a place's `+` is a plus and not a space.
 */
import type { SchemaError } from './problem.ts';

interface QueryProperty {
  readonly type?: string;
  readonly isPlace?: boolean;
}

interface QuerySchema {
  readonly properties?: Readonly<Record<string, QueryProperty>>;
}

export type QueryOutcome =
  | { readonly ok: true; readonly value: Record<string, unknown> }
  | { readonly ok: false; readonly error: SchemaError };

function convert(text: string, property: QueryProperty): unknown {
  if (property.type === 'integer') return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  if (property.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  return property.isPlace === true ? text.replaceAll(' ', '+') : text;
}

const EXPECTED: Readonly<Record<string, string>> = {
  integer: 'a non-negative decimal integer',
  boolean: 'true or false',
};

export function parseQuery(schema: QuerySchema | undefined, query: Readonly<Record<string, unknown>>): QueryOutcome {
  const value: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(query)) {
    const property = Object.hasOwn(schema?.properties ?? {}, name) ? schema?.properties?.[name] : undefined;
    const at = (keyword: string, message: string): QueryOutcome => ({
      ok: false,
      error: { in: 'querystring', path: `/${name}`, schemaPath: `#/${keyword}`, message },
    });
    if (property === undefined) return at('additionalProperties', `unknown parameter ${JSON.stringify(name)}`);
    if (typeof given !== 'string') return at(`properties/${name}/type`, 'is given more than once');
    const converted = convert(given, property);
    if (converted === undefined) {
      const expected = EXPECTED[property.type ?? ''] ?? property.type ?? 'a string';
      return at(`properties/${name}/type`, `must be ${expected}, not ${JSON.stringify(given)}`);
    }
    value[name] = converted;
  }
  return { ok: true, value };
}
