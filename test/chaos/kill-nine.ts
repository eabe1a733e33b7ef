/**
 * kill -9 at random moments under load. Goal: after each restart everything acknowledged is there, nothing is there twice or in half, the audit
 * is clean. Method: a real process over a real directory; many clients attach and detach with Idempotency-Keys; the process is killed at a
 * moment that follows from the seed; after the restart each request without an answer is repeated with its key, and then what the service
 * lists must be exactly what clients were told.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Prng, seededPrng } from '../../src/base/index.ts';
import { anyBody, ask, HELD_MAX, leave, pick, send } from './client-load.ts';
import { Oracle } from './oracle.ts';
import { type ServiceProcess, startProcess } from './service-process.ts';

export interface KillOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly clients: number;
  readonly onRound?: (round: number, total: KillTotals) => void;
  readonly signal?: AbortSignal;
}

export interface KillTotals {
  rounds: number;
  acknowledged: number;
  /** Requests that had no answer when the process died, sent again afterwards. */
  repeated: number;
  /** Restarts whose list and audit were compared. */
  compared: number;
  /** Of each restart: from spawning to ready, the recovery in it, and the commands that it ran again. */
  readonly readyMs: number[];
  readonly recoveryMs: number[];
  readonly replayed: number[];
}

const KILL_AFTER_MS = { min: 5, max: 250 };

interface Load {
  readonly address: string;
  readonly oracle: Oracle;
  readonly round: number;
  isOver: boolean;
}

/** One client until the process dies under it. */
async function client(load: Load, name: string, random: Prng): Promise<void> {
  for (let turn = 0; !load.isOver; turn++) {
    const held = [...load.oracle.attached].filter(([, wish]) => wish.client === name).map(([id]) => id);
    try {
      if (held.length >= HELD_MAX || (held.length > 0 && random.below(3) === 0))
        await leave(load.address, load.oracle, name, pick(random, held));
      else {
        const wish = { key: `${name}-${load.round}-${turn}`, client: name, body: anyBody(random) };
        await send(load.address, load.oracle, wish);
      }
    } catch (error) {
      if (error instanceof TypeError) return;
      throw error;
    }
  }
}

/** Repeats what was never answered, all of it at once as clients would, then compares. */
async function settle(service: ServiceProcess, oracle: Oracle, totals: KillTotals): Promise<void> {
  const { address } = service;
  totals.repeated += oracle.unansweredAttaches.size + oracle.unansweredDetaches.size;
  await Promise.all([
    ...[...oracle.unansweredAttaches].map((wish) => send(address, oracle, wish)),
    ...[...oracle.unansweredDetaches].map((id) =>
      leave(address, oracle, oracle.attached.get(id)?.client ?? 'auditor', id),
    ),
  ]);
  const listed = await ask(address, 'auditor', 'GET', '/v1/attachments?limit=1000');
  oracle.check(listed.body.items ?? []);
  const audit = await ask(address, 'auditor', 'GET', '/v1/audit');
  assert.deepEqual(audit.body.orphans, [], 'bytes that nobody accounts for');
  totals.compared += 1;
}

/** Throws what was found, with the line that replays it. */
export async function killRounds(options: KillOptions): Promise<KillTotals> {
  const { seed, rounds, clients } = options;
  const root = mkdtempSync(join(tmpdir(), 'ktextd-kill-'));
  const [data, cache] = [join(root, 'data'), join(root, 'cache')];
  const random = seededPrng(seed);
  const totals: KillTotals = {
    rounds: 0,
    acknowledged: 0,
    repeated: 0,
    compared: 0,
    readyMs: [],
    recoveryMs: [],
    replayed: [],
  };
  const oracle = new Oracle();
  let service: ServiceProcess | undefined;
  try {
    for (let round = 0; round < rounds && options.signal?.aborted !== true; round++) {
      service = await startProcess(data, cache);
      if (round > 0) note(totals, service);
      await settle(service, oracle, totals);
      const load: Load = { address: service.address, oracle, round, isOver: false };
      const running = Array.from({ length: clients }, (_, i) => client(load, `client-${i}`, seededPrng(random.u32())));
      const { min, max } = KILL_AFTER_MS;
      const moment = min + random.below(max - min);
      await new Promise((resolve) => setTimeout(resolve, moment));
      await service.kill();
      load.isOver = true;
      await Promise.all(running);
      totals.rounds += 1;
      totals.acknowledged = oracle.acknowledged;
      options.onRound?.(round, totals);
    }
    service = await startProcess(data, cache);
    note(totals, service);
    await settle(service, oracle, totals);
    assert.equal(await service.stop(), 0);
    return totals;
  } catch (error) {
    const replay = `replay: npm run chaos -- kill --seed ${seed} --rounds ${rounds} --clients ${clients}`;
    throw new Error(`${replay}\nin round ${totals.rounds}: ${(error as Error).message}`, { cause: error });
  } finally {
    await service?.kill();
    rmSync(root, { recursive: true, force: true });
  }
}

function note(totals: KillTotals, { readyMs, recoveryMs, replayed }: ServiceProcess): void {
  totals.readyMs.push(readyMs);
  totals.recoveryMs.push(recoveryMs);
  totals.replayed.push(replayed);
}
