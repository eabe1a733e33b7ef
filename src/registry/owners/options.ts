import { err, ok, type Result } from '../../base/index.ts';
import { OPTION_INVALID } from '../rules/request.ts';
import { refuse } from '../rules/rule.ts';

/** What an option takes. */
export type OptionSpec =
  | { readonly type: 'boolean' }
  | { readonly type: 'integer'; readonly min: number; readonly max: number }
  | { readonly type: 'u64' }
  | { readonly type: 'name' }
  | { readonly type: 'enum'; readonly values: readonly string[] };

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;
export type Options = Readonly<Record<string, unknown>>;

function describe(spec: OptionSpec): string {
  switch (spec.type) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `an integer from ${spec.min} to ${spec.max}`;
    case 'name':
      return 'a string of 1 to 64 printable characters';
    case 'u64':
      return 'a whole number from 0 to 2^53, or 0x and up to 16 hex digits as a string';
    case 'enum':
      return `one of ${spec.values.join(', ')}`;
  }
}

function isValid(spec: OptionSpec, value: unknown): boolean {
  switch (spec.type) {
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return Number.isInteger(value) && (value as number) >= spec.min && (value as number) <= spec.max;
    case 'name':
      return typeof value === 'string' && /^[\x20-\x7e]{1,64}$/.test(value);
    case 'u64':
      return (
        (Number.isSafeInteger(value) && (value as number) >= 0) ||
        (typeof value === 'string' && /^0x[0-9a-fA-F]{1,16}$/.test(value))
      );
    case 'enum':
      return typeof value === 'string' && spec.values.includes(value);
  }
}

/** Refuses unknown options and wrong values. */
export function checkOptions(kind: string, specs: OptionSpecs, options: Options): Result<Options> {
  for (const [name, value] of Object.entries(options)) {
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec === undefined) {
      const known = Object.keys(specs).join(', ') || 'none';
      return err(
        refuse(OPTION_INVALID, { detail: `${kind} has no option ${JSON.stringify(name)}; it has: ${known}.` }),
      );
    }
    if (!isValid(spec, value))
      return err(refuse(OPTION_INVALID, { detail: `options.${name} of ${kind} takes ${describe(spec)}.` }));
  }
  return ok(options);
}

export const flag = (options: Options, name: string): boolean => options[name] === true;

export function u64(options: Options, name: string): bigint {
  const value = options[name];
  return typeof value === 'number' || typeof value === 'string' ? BigInt(value) : 0n;
}
