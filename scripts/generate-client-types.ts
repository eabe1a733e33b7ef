/**
 * Writes src/client/types.ts from the published OpenAPI document.
 *
 *   tsx scripts/generate-client-types.ts
 */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { buildApp, createLogger, createServiceState } from '../src/server/index.ts';

interface Schema {
  readonly $ref?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
}

const PRIMITIVES: Readonly<Record<string, string>> = {
  string: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  null: 'null',
};

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1) ?? 'unknown';
  if (schema.enum !== undefined) return schema.enum.map((v) => `'${v}'`).join(' | ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' | ');
  if (schema.type === 'array') {
    const item = typeOf(schema.items ?? {});
    const isOne = !item.includes(' ') || schema.items?.type === 'object';
    return `readonly ${isOne ? item : `(${item})`}[]`;
  }
  if (schema.type === 'object') return objectType(schema);
  return PRIMITIVES[schema.type ?? ''] ?? 'unknown';
}

function objectType(schema: Schema): string {
  if (schema.properties !== undefined) return `{ ${members(schema).join(' ')} }`;
  const value = Object.values(schema.patternProperties ?? {})[0] ?? schema.additionalProperties;
  return `Readonly<Record<string, ${typeof value === 'object' ? typeOf(value) : 'unknown'}>>`;
}

function members(schema: Schema): string[] {
  return Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const doc = property.description === undefined ? '' : `\n/** ${property.description} */\n`;
    const mark = schema.required?.includes(name) === true ? '' : '?';
    return `${doc}readonly ${name}${mark}: ${typeOf(property)};`;
  });
}

/** The source text of the types, before formatting. */
export function clientTypes(schemas: Readonly<Record<string, Schema>>): string {
  const interfaces = Object.entries(schemas).map(([name, schema]) => {
    const doc = schema.description === undefined ? '' : `/** ${schema.description} */\n`;
    if (schema.enum !== undefined) return `export type ${name} = ${typeOf(schema)};\n`;
    const body = members(schema)
      .flatMap((m) => m.split('\n'))
      .map((line) => `  ${line}\n`);
    return `${doc}export interface ${name} {\n${body.join('')}}\n`;
  });
  return `// Generated from the OpenAPI document by scripts/generate-client-types.ts; do not edit.\n\n${interfaces.join('\n')}`;
}

/** The types for this version of the service. */
export async function currentClientTypes(): Promise<string> {
  const app = await buildApp({ state: createServiceState(), log: createLogger('silent') });
  await app.ready();
  const document = app.swagger() as { readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> } };
  await app.close();
  return clientTypes(document.components?.schemas ?? {});
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(new URL('../src/client/types.ts', import.meta.url), await currentClientTypes());
}
