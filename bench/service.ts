/**
 * The service as its users meet it: start to ready, memory, one attach over HTTP, many sites at once. Every figure stands beside a baseline
 * of the same run: an empty Node process for the start, a Fastify route that validates the same body and does nothing for HTTP.
 *
 *   npm run bench -- service          (kernels from KTEXTD_KERNELS or the cache; the built-in image is always measured)
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fastify from 'fastify';
import { allKernels } from '../test/support/kernels.ts';

const BODY = { kind: 'kprobe', target: 'tcp_set_state' };
const REQUESTS = 400;
const MANY = 10_000;

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? 0;

interface Running {
  readonly url: string;
  readonly readyMs: number;
  readonly rssMb: number;
  readonly stop: () => Promise<void>;
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).status === 200;
  } catch {
    return false;
  }
}

const exited = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.once('exit', () => resolve()));

/** A port that nobody has: readiness is asked for before the service can say where it listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function start(image: string, cache: string): Promise<Running> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const startMs = performance.now();
  const child = spawn(
    process.execPath,
    ['dist/cli/main.js', 'serve', '--image', image, '--listen', `127.0.0.1:${port}`],
    {
      env: { ...process.env, XDG_CACHE_HOME: cache },
      stdio: 'ignore',
    },
  );
  while (!(await isReady(url))) {
    if (child.exitCode !== null) throw new Error(`serve --image ${image} ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const readyMs = performance.now() - startMs;
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return {
    url,
    readyMs,
    rssMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024,
    stop: async () => {
      child.kill('SIGTERM');
      await exited(child);
    },
  };
}

async function emptyNodeMs(): Promise<number> {
  const startMs = performance.now();
  await exited(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }));
  return performance.now() - startMs;
}

async function post(
  url: string,
  body: unknown,
): Promise<{ readonly ms: number; readonly answer: Record<string, unknown> }> {
  const startMs = performance.now();
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(`${url}: ${JSON.stringify(answer)}`);
  return { ms: performance.now() - startMs, answer };
}

async function baseline(): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const app = fastify();
  const schema = {
    body: {
      type: 'object',
      required: ['kind', 'target'],
      additionalProperties: false,
      properties: { kind: { type: 'string' }, target: { type: 'string' } },
    },
  };
  app.post('/', { schema }, async (_request, reply) => reply.code(201).send({ id: 'none' }));
  return { url: await app.listen({ host: '127.0.0.1', port: 0 }), stop: () => app.close() };
}

async function attachLatency(service: Running): Promise<void> {
  const idle = await baseline();
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    theirs.push((await post(idle.url, BODY)).ms);
    const attached = await post(`${service.url}/v1/attachments`, BODY);
    ours.push(attached.ms);
    await fetch(`${service.url}/v1/attachments/${String(attached.answer['id'])}`, { method: 'DELETE' });
  }
  await idle.stop();
  const ratio = median(ours) / median(theirs);
  process.stdout.write(
    `  one attach over HTTP: p50 ${median(ours).toFixed(2)} ms, p99 ${quantile(ours, 0.99).toFixed(2)} ms; ${ratio.toFixed(1)} × a Fastify POST that does nothing\n`,
  );
}

/** Reads a small thing again and again while `work` goes on, and says how long the longest answer took. */
async function besideReader<T>(
  service: Running,
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly worstMs: number }> {
  let isOver = false;
  let worstMs = 0;
  const read = async (): Promise<void> => {
    while (!isOver) {
      const startMs = performance.now();
      await (await fetch(`${service.url}/v1/sites/vfs_read`)).text();
      worstMs = Math.max(worstMs, performance.now() - startMs);
    }
  };
  const reading = read();
  const value = await work();
  isOver = true;
  await reading;
  return { value, worstMs };
}

async function allSites(service: Running): Promise<void> {
  const attaching = (): ReturnType<typeof post> =>
    post(`${service.url}/v1/attachments`, { kind: 'ftrace', target: { pattern: '*' } });
  const { value: all, worstMs } = await besideReader(service, attaching);
  const path = `${service.url}/v1/attachments/${String(all.answer['id'])}`;
  const detached = await besideReader(service, async () => {
    const startMs = performance.now();
    await fetch(path, { method: 'DELETE' });
    return performance.now() - startMs;
  });
  const sites = String(all.answer['siteCount']);
  const part = (worst: number, whole: number): string => `${worst.toFixed(0)} ms, ${(worst / whole).toFixed(2)} of it`;
  process.stdout.write(
    `  all ${sites} sites: attach ${all.ms.toFixed(0)} ms, detach ${detached.value.toFixed(0)} ms; a reader meanwhile waits at most ${part(worstMs, all.ms)}, and ${part(detached.worstMs, detached.value)}\n`,
  );
}

async function manySites(service: Running): Promise<void> {
  const names: string[] = [];
  for (let cursor: string | null = null; names.length < MANY; ) {
    const query: string = `attachable=ftrace&limit=1000${cursor === null ? '' : `&cursor=${cursor}`}`;
    const page = (await (await fetch(`${service.url}/v1/symbols?${query}`)).json()) as {
      readonly items: readonly { readonly address: string }[];
      readonly nextCursor: string | null;
    };
    names.push(...page.items.map((item) => item.address));
    cursor = page.nextCursor;
    if (cursor === null) break;
  }
  const target = [...new Set(names)].slice(0, MANY);
  const one = await post(`${service.url}/v1/attachments`, { kind: 'ftrace', target: target.slice(0, 1) });
  await fetch(`${service.url}/v1/attachments/${String(one.answer['id'])}`, { method: 'DELETE' });
  const many = await post(`${service.url}/v1/attachments`, { kind: 'ftrace', target });
  const startMs = performance.now();
  await fetch(`${service.url}/v1/attachments/${String(many.answer['id'])}`, { method: 'DELETE' });
  const detachMs = performance.now() - startMs;
  const cost = many.answer['cost'] as { readonly batches: number; readonly syncRounds: number };
  process.stdout.write(
    `  ${target.length} sites in one request: attach ${many.ms.toFixed(0)} ms, detach ${detachMs.toFixed(0)} ms, ${cost.batches} batches, ${cost.syncRounds} sync rounds; ${(target.length / (many.ms / one.ms)).toFixed(0)} × fewer ms a site than one at a time\n`,
  );
}

async function measure(image: string): Promise<void> {
  const cache = mkdtempSync(join(tmpdir(), 'ktextd-bench-'));
  process.stdout.write(`${image === 'builtin' ? image : basename(image)}\n`);
  try {
    const empty = median([await emptyNodeMs(), await emptyNodeMs(), await emptyNodeMs()]);
    const cold = await start(image, cache);
    const coldLoadMs = ((await (await fetch(`${cold.url}/v1/image`)).json()) as { readonly loadMs: number }).loadMs;
    await cold.stop();
    const warm = await start(image, cache);
    const warmLoadMs = ((await (await fetch(`${warm.url}/v1/image`)).json()) as { readonly loadMs: number }).loadMs;
    process.stdout.write(
      `  loadMs ${coldLoadMs.toFixed(0)} cold, ${warmLoadMs.toFixed(0)} cached; start to ready ${cold.readyMs.toFixed(0)} ms cold, ${warm.readyMs.toFixed(0)} ms cached (${(warm.readyMs / empty).toFixed(1)} × an empty Node process); RSS ${cold.rssMb.toFixed(0)} MB cold, ${warm.rssMb.toFixed(0)} MB cached\n`,
    );
    await attachLatency(warm);
    if (image !== 'builtin') {
      await manySites(warm);
      await allSites(warm);
    }
    await warm.stop();
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

for (const image of ['builtin', ...allKernels()]) await measure(image);
