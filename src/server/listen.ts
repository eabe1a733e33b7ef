/** Where the service listens: loopback TCP by default, a unix socket, or beyond loopback when tokens are configured. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { BlockList, connect, isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import type { App } from './app-type.ts';

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Reads `127.0.0.1:7700`, `[::1]:7700`, `localhost:0` or `unix:PATH`; undefined when it is none. */
export function parseListen(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) return text.length > 5 ? { kind: 'unix', path: text.slice(5) } : undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { kind: 'tcp', host, port };
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Names that only this machine can mean: 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host.toLowerCase() === 'localhost';
  return LOOPBACK.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

const WILDCARDS = new Set(['0.0.0.0', '::']);
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'] as const;

/** The names a Host header may have; undefined (any) for a unix socket, which no browser can be made to reach. */
export function hostNamesFor(address: ListenAddress, more: readonly string[]): ReadonlySet<string> | undefined {
  if (address.kind === 'unix') return undefined;
  const names = new Set<string>([address.host, ...more].map((n) => n.toLowerCase()));
  if (isLoopback(address.host)) for (const name of LOOPBACK_NAMES) names.add(name);
  if (WILDCARDS.has(address.host)) {
    names.add(hostname().toLowerCase());
    for (const name of LOOPBACK_NAMES) names.add(name);
    for (const one of Object.values(networkInterfaces()).flat())
      if (one !== undefined) names.add(one.address.toLowerCase());
  }
  return names;
}

/** A usage error of the person who starts the service, in one line. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

/** Removes a socket that a dead process left, and nothing else. */
async function clearStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new ListenError(`${path} exists and is not a socket`);
  if (await isAnswered(path)) throw new ListenError(`${path} is in use by another process`);
  unlinkSync(path);
}

async function listenUnix(app: App, path: string): Promise<void> {
  await clearStaleSocket(path);
  await app.ready();
  // The mask covers the moment between bind and chmod.
  const mask = process.umask(0o177);
  try {
    await app.listen({ path });
    chmodSync(path, 0o600);
  } finally {
    process.umask(mask);
  }
}

/** Of several addresses of localhost Fastify would make several servers, of which only one is ours to close. */
const boundHost = (host: string): string => (host.toLowerCase() === 'localhost' ? '127.0.0.1' : host);

/** Listens; answers the address as a client uses it (`http://127.0.0.1:7700`, `unix:PATH`). Throws {@link ListenError}. */
export async function listen(app: App, address: ListenAddress): Promise<string> {
  const host = address.kind === 'tcp' ? boundHost(address.host) : '';
  try {
    if (address.kind === 'unix') {
      await listenUnix(app, address.path);
      return `unix:${address.path}`;
    }
    await app.listen({ host, port: address.port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || error instanceof ListenError) throw error;
    const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
    throw new ListenError(`cannot listen on ${where}: ${code}`);
  }
  const bound = app.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}
