/**
 * A service under load for as long as one likes. Goal: memory and handles stay flat, and one client's attach stays quick beside a neighbour that
 * keeps 64 connections busy. Method: the client is a process of its own, first alone, then beside the neighbour; what the service's process takes is
 * sampled while the load runs.
 */

import { type Prng, seededPrng } from '../../src/base/index.ts';
import { type Client, createClient } from '../../src/client/index.ts';
import { quantile } from './neighbour.ts';
import { NeighbourProcess } from './neighbour-process.ts';
import { type ProcessUse, processUse } from './process-state.ts';
import type { ServiceProcess } from './service-process.ts';

export interface SoakTotals {
  readonly requests: number;
  readonly idleP99Ms: number;
  readonly besideP99Ms: number;
  /** After half of the time, and at the end with nobody there any more. */
  readonly warm: ProcessUse;
  readonly end: ProcessUse;
  readonly attached: number;
}

export interface SoakOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly onSample?: (second: number, use: ProcessUse, requests: number) => void;
  readonly signal?: AbortSignal;
}

const CONNECTIONS = 64;
const IDLE_REQUESTS = 300;
const FUNCTIONS = ['tcp_set_state', 'vfs_read', 'vfs_write', 'do_mmap', 'tcp_close', 'schedule'];

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const pick = <T>(random: Prng, all: readonly T[]): T => all[random.below(all.length)] as T;

/** What a busy agent does: attach, look, ask, detach. Answers how many requests that were. */
async function turn(client: Client, random: Prng): Promise<number> {
  const target = pick(random, FUNCTIONS);
  const kind = pick(random, ['kprobe', 'kretprobe', 'fentry', 'fexit', 'ftrace'] as const);
  const attached = await client.attach({ kind, target });
  await (random.below(2) === 0 ? client.site(target) : client.attachments({ limit: 10 }));
  if (random.below(8) === 0) await client.call({ function: 'tcp_set_state', sample: true });
  if (!attached.ok) return 2;
  await client.detach(attached.value.id);
  return 3;
}

export async function soak(
  service: ServiceProcess,
  { seed, seconds, onSample, signal }: SoakOptions,
): Promise<SoakTotals> {
  const { address, pid } = service;
  const neighbour = new NeighbourProcess(address);
  const idle = await neighbour.times(IDLE_REQUESTS);
  const endsAt = performance.now() + seconds * 1_000;
  const isOver = (): boolean => performance.now() >= endsAt || signal?.aborted === true;
  let requests = 0;
  const random = seededPrng(seed);
  const busy = Array.from({ length: CONNECTIONS }, async () => {
    const client = createClient({ server: address, client: 'busy' });
    const mine = seededPrng(random.u32());
    while (!isOver()) {
      const sent = await turn(client, mine);
      requests += sent;
    }
  });
  const working = neighbour.run();
  let warm = processUse(pid);
  for (let second = 0; !isOver(); second++) {
    await wait(1_000);
    const use = processUse(pid);
    if (second <= seconds / 2) warm = use;
    onSample?.(second + 1, use, requests);
  }
  neighbour.stop();
  const [beside] = await Promise.all([working, ...busy]);
  await neighbour.end();
  await wait(6_000);
  const left = await createClient({ server: address }).attachments({ limit: 1000 });
  return {
    requests,
    idleP99Ms: quantile(idle, 0.99),
    besideP99Ms: quantile(beside, 0.99),
    warm,
    end: processUse(pid),
    attached: left.ok ? left.value.items.length : -1,
  };
}

/** What a soak must not show. */
export function soakFindings({ warm, end, attached }: SoakTotals): readonly string[] {
  const found: string[] = [];
  // V8 moves by some tens of megabytes; what leaks goes on growing and passes any bound in an hour.
  if (end.rssMb > warm.rssMb * 1.25 + 40)
    found.push(`memory grew from ${warm.rssMb.toFixed(0)} to ${end.rssMb.toFixed(0)} MB`);
  if (end.handles > warm.handles) found.push(`handles grew from ${warm.handles} to ${end.handles}`);
  if (attached !== 0) found.push(`${attached} attachments are left that nobody has`);
  return found;
}
