/**
 * Injected faults under load. Goal: whatever fails, and whenever, what clients were told is what is there: a command that is given up leaves
 * nothing, a disk that stalls or is full loses nothing, a clock that jumps ends nothing, and a process that ends between two phases comes back whole.
 * Method: a real process over a real directory; many clients attach and detach with Idempotency-Keys and repeat what is refused with 503; meanwhile
 * faults are armed whose names, options and order follow from the seed; each round ends with one that kills the process in the midst of a command.
 * After the restart what was not answered is repeated, and what the service lists must be exactly what clients were told.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Prng, seededPrng } from '../../src/base/index.ts';
import { type Client, createClient, type FaultRequest } from '../../src/client/index.ts';
import { type Answer, anyBody, ask, HELD_MAX, leave, pick, send } from './client-load.ts';
import { Oracle } from './oracle.ts';
import { type ServiceProcess, startProcess } from './service-process.ts';

export interface FaultRunOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly clients: number;
  /** Faults that are armed in a round, before the one that ends it. */
  readonly faults: number;
  readonly onRound?: (round: number, total: FaultTotals) => void;
  readonly signal?: AbortSignal;
}

export interface FaultTotals {
  rounds: number;
  acknowledged: number;
  /** Answers 503, each repeated until it was another. */
  refused: number;
  /** By name, how often each happened. */
  readonly fired: Record<string, number>;
  /** Rounds that ended with the process, as they should. */
  killed: number;
  readonly recoveryMs: number[];
}

const RETRY_MS = 20;
const BETWEEN_MS = { min: 5, max: 40 };
const STEP_MAX = 40;
const HOURS_MAX = 1_000;
const HOUR_MS = 3_600_000;
/** For a command to reach the step at which the process ends. */
const KILLED_MS_MAX = 10_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Load {
  readonly address: string;
  readonly oracle: Oracle;
  readonly totals: FaultTotals;
  readonly round: number;
  isOver: boolean;
}

export function anyFault(random: Prng): FaultRequest {
  const times = 1 + random.below(3);
  const after = random.below(20);
  switch (random.below(6)) {
    case 0:
      return { name: 'dropped-ipi', times, after, cpu: random.below(8) };
    case 1:
      return { name: 'delayed-sync', times, after, ms: 1 + random.below(20) };
    case 2:
      return { name: 'journal-stall', times, after: 0, ms: 1 + random.below(60) };
    case 3:
      return { name: 'journal-full', times: 1, after: 0 };
    case 4:
      return { name: 'clock-jump', ms: (1 + random.below(HOURS_MAX)) * (random.below(2) === 0 ? HOUR_MS : -HOUR_MS) };
    default:
      return { name: 'crash-between-phases', times, phase: 1 + random.below(STEP_MAX) };
  }
}

/** Repeats `request` while the answer is 503 and the round goes on. */
async function until(load: Load, request: () => Promise<Answer>): Promise<void> {
  while (!load.isOver) {
    const { status } = await request();
    if (status !== 503) return;
    load.totals.refused += 1;
    await wait(RETRY_MS);
  }
}

/** One client until the process ends under it. */
async function client(load: Load, name: string, random: Prng): Promise<void> {
  const { address, oracle, round } = load;
  try {
    for (let turn = 0; !load.isOver; turn++) {
      const held = [...oracle.attached].filter(([, wish]) => wish.client === name).map(([id]) => id);
      if (held.length >= HELD_MAX || (held.length > 0 && random.below(3) === 0)) {
        const id = pick(random, held);
        await until(load, () => leave(address, oracle, name, id));
      } else {
        const wish = { key: `${name}-${round}-${turn}`, client: name, body: anyBody(random) };
        await until(load, () => send(address, oracle, wish));
      }
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

async function noOrphans(address: string): Promise<void> {
  const audit = await ask(address, 'auditor', 'GET', '/v1/audit');
  assert.deepEqual(audit.body.orphans, [], 'bytes that nobody accounts for');
}

async function countFired(operator: Client, totals: FaultTotals): Promise<void> {
  const page = await operator.faults({ limit: 1000 });
  assert.ok(page.ok);
  for (const { id, name, fired } of page.value.items) {
    totals.fired[name] = (totals.fired[name] ?? 0) + fired;
    await operator.removeFault(id);
  }
}

/** Arms one fault after the other, looking at the text in between. */
async function sabotage({ address, totals }: Load, random: Prng, faults: number): Promise<void> {
  const operator = createClient({ server: address, client: 'operator' });
  for (let i = 0; i < faults; i++) {
    const armed = await operator.injectFault(anyFault(random));
    assert.ok(armed.ok, JSON.stringify(armed));
    await wait(BETWEEN_MS.min + random.below(BETWEEN_MS.max - BETWEEN_MS.min));
    if (i % 4 === 0) await noOrphans(address);
    // What has not happened by now shall not keep its room for ever.
    if (i % 20 === 19) await countFired(operator, totals);
  }
  await countFired(operator, totals);
  await noOrphans(address);
  const phase = 1 + random.below(STEP_MAX / 4);
  const last = await operator.injectFault({ name: 'crash-between-phases', mode: 'exit', phase });
  assert.ok(last.ok, JSON.stringify(last));
}

/** Repeats what was never answered, all of it at once as clients would, then compares. What the service lists. */
async function settle(address: string, oracle: Oracle): Promise<readonly { readonly id: string }[]> {
  await Promise.all([
    ...[...oracle.unansweredAttaches].map((wish) => send(address, oracle, wish)),
    ...[...oracle.unansweredDetaches].map((id) =>
      leave(address, oracle, oracle.attached.get(id)?.client ?? 'auditor', id),
    ),
  ]);
  const { items = [] } = (await ask(address, 'auditor', 'GET', '/v1/attachments?limit=1000')).body;
  oracle.check(items);
  await noOrphans(address);
  return items;
}

async function oneRound(load: Load, service: ServiceProcess, options: FaultRunOptions, random: Prng): Promise<void> {
  const clients = Array.from({ length: options.clients }, (_, i) =>
    client(load, `client-${i}`, seededPrng(random.u32())),
  );
  const running = Promise.all(clients);
  await Promise.race([sabotage(load, seededPrng(random.u32()), options.faults), running.then(() => undefined)]);
  const wasKilled = await Promise.race([running.then(() => true), wait(KILLED_MS_MAX).then(() => false)]);
  load.isOver = true;
  if (wasKilled) load.totals.killed += 1;
  await service.kill();
  await running;
}

/** Throws what was found, with the line that replays it. */
export async function faultRounds(options: FaultRunOptions): Promise<FaultTotals> {
  const { seed, rounds, clients, faults } = options;
  const root = mkdtempSync(join(tmpdir(), 'ktextd-faults-'));
  const [data, cache] = [join(root, 'data'), join(root, 'cache')];
  const random = seededPrng(seed);
  const totals: FaultTotals = { rounds: 0, acknowledged: 0, refused: 0, fired: {}, killed: 0, recoveryMs: [] };
  const oracle = new Oracle();
  const start = () => startProcess(data, cache, ['--inject-faults', '--log-level', 'silent']);
  let service = await start();
  try {
    for (let round = 0; round < rounds && options.signal?.aborted !== true; round++) {
      await oneRound({ address: service.address, oracle, totals, round, isOver: false }, service, options, random);
      service = await start();
      totals.recoveryMs.push(service.recoveryMs);
      const listed = await settle(service.address, oracle);
      // A comparison that sees nothing would pass for ever.
      assert.throws(() => oracle.check([...listed, { id: 'att_that_nobody_was_told_of' }]));
      totals.rounds += 1;
      totals.acknowledged = oracle.acknowledged;
      options.onRound?.(round, totals);
    }
    assert.equal(await service.stop(), 0);
    return totals;
  } catch (error) {
    const replay = `replay: npm run chaos -- faults --seed ${seed} --rounds ${rounds} --clients ${clients} --faults ${faults}`;
    throw new Error(`${replay}\nin round ${totals.rounds}: ${(error as Error).message}`, { cause: error });
  } finally {
    await service.kill();
    rmSync(root, { recursive: true, force: true });
  }
}
