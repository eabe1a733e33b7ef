/** The published document: OpenAPI 3.1 from the route schemas. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * Moves each schema that has a title to `components.schemas` and leaves a reference: documents get short and generated clients get names.
 * Two schemas with one title must be equal.
 */
export function hoistTitled(document: Json): Json {
  const schemas: Record<string, Json> = {};
  const visit = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).filter(([key]) => key !== 'isPlace');
    const copy = Object.fromEntries(entries.map(([key, v]) => [key, visit(v)]));
    const title = copy['title'];
    if (typeof title !== 'string' || !(copy['type'] === 'object' || 'enum' in copy)) return copy;
    const known = schemas[title];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(copy))
      throw new Error(`two schemas are called ${title}`);
    schemas[title] = copy;
    return { $ref: `#/components/schemas/${title}` };
  };
  const visited = visit(document) as { readonly [key: string]: Json };
  const names = Object.keys(schemas).sort();
  return { ...visited, components: { schemas: Object.fromEntries(names.map((n) => [n, schemas[n] as Json])) } };
}

const TAGS = [
  { name: 'image', description: 'The kernel and its text as a whole' },
  { name: 'modules', description: 'Modules: text, symbols and sites that come and go' },
  { name: 'text', description: 'Symbols, bytes, instructions' },
  { name: 'sites', description: 'Places whose bytes someone owns' },
  { name: 'attachments', description: 'Attach, plan, detach' },
  { name: 'calls', description: 'Run functions of the kernel on simulated CPUs' },
  { name: 'explorations', description: 'Try every interleaving of pokes, handlers and CPUs' },
  { name: 'events', description: 'What happens, as it happens' },
  { name: 'rules', description: 'What can be refused, and why' },
  { name: 'kernel', description: 'The kernel’s own listings, and its sysctls' },
  { name: 'service', description: 'Health, readiness, metrics' },
];

/** Must be awaited before routes are added. */
export async function installOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ktextd',
        version,
        description: 'Owns a simulated kernel text image; attachments chain, share or are refused as Linux would.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: TAGS,
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('the document is not OpenAPI');
      return hoistTitled(structuredClone(document.openapiObject) as Json) as typeof document.openapiObject;
    },
  });
}

/** `/docs` and `/openapi.json`, which are open: they say nothing about what is attached. */
export async function installDocs(app: FastifyInstance): Promise<void> {
  const open = { access: 'open' } as const;
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith('/docs')) route.config = { ...route.config, ...open };
  });
  await app.register(swaggerUi, { routePrefix: '/docs', uiConfig: { tryItOutEnabled: true } });
  app.get('/openapi.json', { config: open, schema: { hide: true } }, async () => app.swagger());
}
