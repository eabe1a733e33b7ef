import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import type { SchemaError } from './problem.ts';

/** What a value must be where several schemas are possible; the validator itself lists a failure for each. */
const ALTERNATIVES: Readonly<Record<string, string>> = {
  target: 'must be a place, an array of places, or {"pattern": "…"}',
};

function message(error: FastifySchemaValidationError): string {
  const params = error.params as Readonly<Record<string, unknown>>;
  if (error.keyword === 'additionalProperties') return `unknown field ${JSON.stringify(params['additionalProperty'])}`;
  if (error.keyword === 'required') return `field ${JSON.stringify(params['missingProperty'])} is missing`;
  if (error.keyword === 'enum') return `must be one of ${(params['allowedValues'] as readonly unknown[]).join(', ')}`;
  if (error.keyword === 'anyOf') {
    return ALTERNATIVES[error.instancePath.split('/').at(-1) ?? ''] ?? error.message ?? 'is not valid';
  }
  return error.message ?? 'is not valid';
}

/**
 * Makes the validator's findings readable. A failed `anyOf` comes last, behind one finding for each of its branches: it says it all.
 * At most {@link ERRORS_MAX} are kept.
 */
export function schemaErrors(part: string, found: readonly FastifySchemaValidationError[]): readonly SchemaError[] {
  const alternatives = found.filter((e) => e.keyword === 'anyOf');
  const kept = found.filter((e) => {
    return !alternatives.some(
      (a) => a !== e && e.schemaPath.startsWith(a.schemaPath) && e.instancePath.startsWith(a.instancePath),
    );
  });
  return kept.slice(0, ERRORS_MAX).map((error) => ({
    in: part,
    path: error.instancePath,
    schemaPath: error.schemaPath,
    message: message(error),
  }));
}

const ERRORS_MAX = 20;

/** One line: `body/options: must be object; body: unknown field "x"`. */
export const schemaErrorText = (errors: readonly SchemaError[]): string =>
  errors.map((e) => `${e.in === 'querystring' ? 'query' : e.in}${e.path}: ${e.message}`).join('; ');
