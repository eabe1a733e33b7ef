/**
 * A persistent value as JSON and back. What JSON has no word for is an object of one key: `$map`, `$set`, `$big` (decimal), `$bytes` (hex).
 * Maps and sets keep their order of iteration.
 */
import { Map as ImmutableMap, Set as ImmutableSet, isMap, isSet } from 'immutable';
import { fromHex, invariant, type Steps, toHex, visitAll } from '../../base/index.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export function encodeValue(value: unknown): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') {
    invariant(Number.isFinite(value), () => `${value} has no JSON form`);
    return value;
  }
  if (typeof value === 'bigint') return { $big: value.toString() };
  if (value instanceof Uint8Array) return { $bytes: toHex(value) };
  if (isMap(value)) return { $map: [...value].map(([key, each]) => [encodeValue(key), encodeValue(each)]) };
  if (isSet(value)) return { $set: [...value].map(encodeValue) };
  if (Array.isArray(value)) return value.map(encodeValue);
  invariant(typeof value === 'object', () => `a ${typeof value} has no JSON form`);
  const fields = Object.entries(value as object).filter(([, each]) => each !== undefined);
  return Object.fromEntries(fields.map(([key, each]) => [key, encodeValue(each)]));
}

const textOf = (value: unknown): string => JSON.stringify(encodeValue(value));

/** Levels of plain objects whose fields are looked at one by one: a state's tables. */
const LEVELS = 2;

/** The JSON text of {@link encodeValue}, in steps: adds its pieces to `pieces`. */
export function* encodeSteps(value: unknown, pieces: string[], level = 0): Steps<void> {
  if (isMap(value)) {
    const pair = ([key, each]: readonly [unknown, unknown]): string => `[${textOf(key)},${textOf(each)}]`;
    yield* listSteps(value, value.size, pieces, { open: '{"$map":[', close: ']}' }, pair);
  } else if (isSet(value)) {
    yield* listSteps(value, value.size, pieces, { open: '{"$set":[', close: ']}' }, textOf);
  } else if (Array.isArray(value)) {
    yield* listSteps(value as readonly unknown[], value.length, pieces, { open: '[', close: ']' }, textOf);
  } else if (level < LEVELS && isPlain(value)) {
    let before = '{';
    for (const [key, each] of Object.entries(value)) {
      if (each === undefined) continue;
      pieces.push(`${before}${JSON.stringify(key)}:`);
      yield* encodeSteps(each, pieces, level + 1);
      before = ',';
    }
    pieces.push(before === '{' ? '{}' : '}');
  } else pieces.push(textOf(value));
}

const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !(value instanceof Uint8Array);

function* listSteps<T>(
  items: Iterable<T>,
  size: number,
  pieces: string[],
  { open, close }: { readonly open: string; readonly close: string },
  text: (item: T) => string,
): Steps<void> {
  pieces.push(open);
  yield* visitAll(items, size, 'encoding', (item, index) => {
    pieces.push(index === 0 ? text(item) : `,${text(item)}`);
  });
  pieces.push(close);
}

export function decodeValue(json: Json): unknown {
  if (json === null || typeof json !== 'object') return json;
  if (Array.isArray(json)) return json.map(decodeValue);
  const object = json as { readonly [key: string]: Json };
  const { $map, $set, $big, $bytes } = object;
  if ($map !== undefined)
    return ImmutableMap(($map as readonly [Json, Json][]).map(([k, v]) => [decodeValue(k), decodeValue(v)]));
  if ($set !== undefined) return ImmutableSet(($set as readonly Json[]).map(decodeValue));
  if ($big !== undefined) return BigInt($big as string);
  if ($bytes !== undefined) {
    const bytes = fromHex($bytes as string);
    invariant(bytes !== undefined, '$bytes is hex');
    return bytes;
  }
  return Object.fromEntries(Object.entries(object).map(([key, each]) => [key, decodeValue(each)]));
}
