/**
 * A persistent value as JSON and back. What JSON has no word for is an object of one key: `$map`, `$set`, `$big` (decimal), `$bytes` (hex).
 * Maps and sets keep their order of iteration.
 */
import { Map as ImmutableMap, Set as ImmutableSet, isMap, isSet } from 'immutable';
import { fromHex, invariant, toHex } from '../../base/index.ts';

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
