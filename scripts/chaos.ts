/**
 * Long runs of what test/chaos runs shortly. Ctrl-C ends cleanly.
 *
 *   npm run chaos -- kill    [--rounds 1000] [--clients 32] [--seed N]
 *   npm run chaos -- restart [--rounds 100]  [--clients 32] [--seed N]
 *   npm run chaos -- faults  [--rounds 100]  [--clients 32] [--faults 100] [--seed N]
 *   npm run chaos -- soak    [--seconds 3600] [--seed N]
 *   npm run chaos -- hostile [--requests 20000] [--seed N]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { hostileRun } from '../test/chaos/hostile-run.ts';
import { type FaultTotals, faultRounds } from '../test/chaos/injected-faults.ts';
import { type KillTotals, killRounds } from '../test/chaos/kill-nine.ts';
import { quantile } from '../test/chaos/neighbour.ts';
import { type RestartTotals, restartRounds } from '../test/chaos/restarts.ts';
import { type ServiceProcess, startProcess } from '../test/chaos/service-process.ts';
import { soak, soakFindings } from '../test/chaos/soak.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    clients: { type: 'string', default: '32' },
    faults: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '3600' },
    requests: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Date.now() % 0x1_0000_0000) },
  },
});

const seed = Number(values.seed);
const interrupted = new AbortController();

/** A line that is rewritten on a terminal; elsewhere one now and then. */
function progress(text: string, isTime: boolean): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text}`);
  else if (isTime) process.stdout.write(`${text}\n`);
}

function done(text: string): void {
  process.stdout.write(`${process.stdout.isTTY ? '\n' : ''}${text}\n`);
}

/** p50 / p99 / max. */
const spread = (values: readonly number[]): string =>
  [0.5, 0.99, 1].map((q) => Math.round(quantile(values, q))).join(' / ');

const summary = (totals: KillTotals): string =>
  `${totals.rounds} kills, ${totals.acknowledged} acknowledged changes, ${totals.repeated} repeated after a crash, ` +
  `${totals.compared} times list and audit as clients were told; p50 / p99 / max: ready ${spread(totals.readyMs)} ms, ` +
  `recovery ${spread(totals.recoveryMs)} ms, commands run again ${spread(totals.replayed)}`;

async function kill(): Promise<void> {
  const [rounds, clients] = [Number(values.rounds ?? 1000), Number(values.clients)];
  process.stdout.write(`kill: ${rounds} rounds, ${clients} clients, seed ${seed}\n`);
  const totals = await killRounds({
    seed,
    rounds,
    clients,
    signal: interrupted.signal,
    onRound: (round, soFar) => progress(`${round + 1}/${rounds}: ${summary(soFar)}`, (round + 1) % 50 === 0),
  });
  done(`${summary(totals)}\nnothing lost, nothing twice`);
}

const restartSummary = (totals: RestartTotals): string =>
  `${totals.rounds} restarts, ${totals.acknowledged} acknowledged changes, ${totals.refused} refused with 503, ` +
  `${totals.notConnected} not connected, ${totals.cut} cut, ${totals.events} events read; p50 / p99 / max: stop ${spread(totals.stopMs)} ms, ` +
  `ready ${spread(totals.readyMs)} ms; ${totals.replayed} commands run again`;

async function restart(): Promise<void> {
  const [rounds, clients] = [Number(values.rounds ?? 100), Number(values.clients)];
  process.stdout.write(`restart: ${rounds} rounds, ${clients} clients, seed ${seed}\n`);
  const totals = await restartRounds({
    seed,
    rounds,
    clients,
    signal: interrupted.signal,
    onRound: (round, soFar) => progress(`${round + 1}/${rounds}: ${restartSummary(soFar)}`, (round + 1) % 10 === 0),
  });
  done(`${restartSummary(totals)}\nnothing lost, nothing twice, no event missed`);
}

const faultSummary = ({ rounds, acknowledged, refused, fired, killed, recoveryMs }: FaultTotals): string =>
  `${rounds} rounds, ${acknowledged} acknowledged changes, ${refused} refused with 503 and repeated; ` +
  `${Object.entries(fired)
    .map(([name, count]) => `${name} ${count}`)
    .sort()
    .join(', ')}; ${killed} times the process ended in the midst; recovery ${spread(recoveryMs)} ms`;

async function faults(): Promise<void> {
  const [rounds, clients, count] = [Number(values.rounds ?? 100), Number(values.clients), Number(values.faults)];
  process.stdout.write(`faults: ${rounds} rounds of ${count}, ${clients} clients, seed ${seed}\n`);
  const totals = await faultRounds({
    seed,
    rounds,
    clients,
    faults: count,
    signal: interrupted.signal,
    onRound: (round, soFar) => progress(`${round + 1}/${rounds}: ${faultSummary(soFar)}`, (round + 1) % 10 === 0),
  });
  done(`${faultSummary(totals)}\nnothing lost, nothing twice, nothing half there`);
}

/** A service over a folder that goes with it. */
async function withService(body: (service: ServiceProcess) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'ktextd-chaos-'));
  const service = await startProcess(join(root, 'data'), join(root, 'cache'), ['--log-level', 'silent']);
  try {
    await body(service);
  } finally {
    await service.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

const p99 = (idle: number, beside: number): string =>
  `p99 of an attach: alone ${idle.toFixed(1)} ms, beside it ${beside.toFixed(1)} ms (${(beside / idle).toFixed(1)} ×)`;

const runSoak = (): Promise<void> =>
  withService(async (service) => {
    const seconds = Number(values.seconds);
    process.stdout.write(`soak: ${seconds} s, 64 connections, seed ${seed}\n`);
    const totals = await soak(service, {
      seed,
      seconds,
      signal: interrupted.signal,
      onSample: (second, use, requests) =>
        progress(
          `${second}/${seconds} s: ${requests} requests, ${use.rssMb.toFixed(0)} MB, ${use.handles} handles`,
          second % 60 === 0,
        ),
    });
    const { requests, warm, end } = totals;
    done(
      `${requests} requests; memory ${warm.rssMb.toFixed(0)} → ${end.rssMb.toFixed(0)} MB, handles ${warm.handles} → ${end.handles}; ${p99(totals.idleP99Ms, totals.besideP99Ms)}`,
    );
    const found = soakFindings(totals);
    if (found.length > 0) throw new Error(found.join('; '));
  });

const runHostile = (): Promise<void> =>
  withService(async (service) => {
    const requests = Number(values.requests);
    process.stdout.write(`hostile: ${requests} requests, seed ${seed}\n`);
    const totals = await hostileRun(service, {
      seed,
      requests,
      onProgress: (count) => progress(`${count}/${requests}`, count % 5_000 === 0),
    });
    done(`${JSON.stringify(totals.byStatus)}; ${p99(totals.idleP99Ms, totals.besideP99Ms)}\nno 5xx, nothing changed`);
  });

const RUNS: Readonly<Record<string, () => Promise<void>>> = {
  kill,
  restart,
  faults,
  soak: runSoak,
  hostile: runHostile,
};

const run = RUNS[positionals[0] ?? ''];
const numbers = [values.rounds ?? '0', values.clients, values.faults, values.seconds, values.requests, values.seed];
if (run === undefined || numbers.some((text) => !/^\d+$/.test(text))) {
  process.stderr.write(
    'usage: npm run chaos -- kill|restart|faults|soak|hostile [--rounds N] [--clients N] [--faults N] [--seconds N] [--requests N] [--seed N]\n',
  );
  process.exitCode = 2;
} else {
  process.once('SIGINT', () => interrupted.abort());
  try {
    await run();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
