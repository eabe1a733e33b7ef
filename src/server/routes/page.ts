import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { App } from '../app-type.ts';

/** The page lies beside src and dist, so the same relative path serves both. */
const FOLDER = fileURLToPath(new URL('../../../web/', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const HEADERS = {
  'content-security-policy': "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
} as const;

/** The page's few files, read once: no path from a request ever reaches the file system. */
export function pageRoutes(app: App): void {
  for (const name of readdirSync(FOLDER)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const body = readFileSync(FOLDER + name);
    app.get(
      name === 'index.html' ? '/' : `/${name}`,
      { config: { access: 'open' }, schema: { hide: true } },
      async (_request, reply) => reply.headers(HEADERS).type(type).send(body),
    );
  }
}
