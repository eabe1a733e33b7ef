/**
 * Durable attach and detach over HTTP by 32 clients, beside a Fastify service that validates the same body and does nothing, in turns of one run;
 * and how long one client alone waits, beside a service that does nothing but commit a record. Each service is a process of its own; the journal is on the disk that holds the temporary folder.
 *
 *   npm run bench -- durable
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CLIENTS = 32;
const TURNS = 4;
const TURN_MS = 3_000;
const ALONE_TURNS = 5;
const ALONE = 200;
const FUNCTIONS = ['tcp_set_state', 'vfs_read', 'vfs_write', 'do_mmap', 'tcp_close', 'schedule'];

interface Service {
  readonly address: string;
  readonly child: ChildProcess;
}

function start(args: readonly string[]): Promise<Service> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error(`it ended: ${printed}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      const [, address] = /listening on (\S+)/.exec(printed) ?? [];
      if (address !== undefined) resolve({ address, child });
    });
  });
}

async function stop({ child }: Service): Promise<void> {
  child.kill('SIGTERM');
  await once(child, 'exit');
}

const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });

/** Sends; answers the body. */
function send(address: string, method: string, path: string, client: string, body?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = {
      'x-ktextd-client': client,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const sent = request(`${address}${path}`, { agent, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => {
        if ((response.statusCode ?? 0) < 300) resolve(text);
        else reject(new Error(text));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** One attach and its detach; milliseconds of the attach. */
async function pair(address: string, index: number, turn: number): Promise<number> {
  const client = `client-${index}`;
  const startMs = performance.now();
  const target = FUNCTIONS[(index + turn) % FUNCTIONS.length];
  const body = await send(address, 'POST', '/v1/attachments', client, JSON.stringify({ kind: 'kprobe', target }));
  const took = performance.now() - startMs;
  await send(address, 'DELETE', `/v1/attachments/${(JSON.parse(body) as { id: string }).id}`, client);
  return took;
}

/** Requests a second of all clients together. */
async function together(address: string): Promise<number> {
  const startMs = performance.now();
  let requests = 0;
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      for (let turn = 0; performance.now() - startMs < TURN_MS; turn++) {
        await pair(address, index, turn);
        requests += 2;
      }
    }),
  );
  return (requests * 1_000) / (performance.now() - startMs);
}

const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? 0;
const best = (values: readonly number[]): number => Math.max(...values);

const root = mkdtempSync(join(tmpdir(), 'ktextd-bench-'));
const ours = await start([
  'dist/cli/main.js',
  'serve',
  '--listen',
  '127.0.0.1:0',
  '--data',
  join(root, 'data'),
  '--log-level',
  'silent',
]);
const NOTHING = ['--import', 'tsx', 'bench/support/nothing.ts'];
const nothing = await start(NOTHING);
const committing = await start([...NOTHING, mkdtempSync(join(root, 'commits-'))]);

/** How long one client waits for each attach, milliseconds. */
async function alone(address: string, into: number[]): Promise<void> {
  for (let turn = 0; turn < ALONE; turn++) into.push(await pair(address, 0, turn));
}

const times = (values: readonly number[]): string =>
  `p50 ${quantile(values, 0.5).toFixed(2)} ms, p99 ${quantile(values, 0.99).toFixed(2)} ms`;

try {
  const [durable, empty]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < TURNS; turn++) {
    durable.push(await together(ours.address));
    empty.push(await together(nothing.address));
  }
  const [mine, theirs] = [best(durable.slice(1)), best(empty.slice(1))];
  process.stdout.write(
    `durable attach + detach by ${CLIENTS} clients: ${mine.toFixed(0)} requests a second, ${(mine / theirs).toFixed(2)} of ${theirs.toFixed(0)} by a service that does nothing\n`,
  );
  const [attach, commit]: [number[], number[]] = [[], []];
  await together(committing.address);
  for (let turn = 0; turn < ALONE_TURNS; turn++) {
    await alone(ours.address, attach);
    await alone(committing.address, commit);
  }
  process.stdout.write(`one client alone, durable attach: ${times(attach)}; nothing but a commit: ${times(commit)}\n`);
} finally {
  await Promise.all([stop(ours), stop(nothing), stop(committing)]);
  rmSync(root, { recursive: true, force: true });
}
