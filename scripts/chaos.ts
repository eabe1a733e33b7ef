/** `npm run chaos -- kill [--rounds N] [--clients N] [--seed N]`: long runs of what test/chaos runs shortly. Ctrl-C ends after the round. */
import { parseArgs } from 'node:util';
import { type KillTotals, killRounds } from '../test/chaos/kill-nine.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '1000' },
    clients: { type: 'string', default: '32' },
    seed: { type: 'string', default: String(Date.now() % 0x1_0000_0000) },
  },
});

const summary = (totals: KillTotals): string =>
  `${totals.rounds} kills, ${totals.acknowledged} acknowledged changes, ${totals.repeated} repeated after a crash, ` +
  `ready in ${Math.round(totals.readyMsMax)} ms at most, recovery ${totals.recoveryMsMax} ms at most (${totals.replayedMax} commands)`;

async function kill(): Promise<void> {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  const [seed, rounds, clients] = [Number(values.seed), Number(values.rounds), Number(values.clients)];
  process.stdout.write(`kill: ${rounds} rounds, ${clients} clients, seed ${seed}\n`);
  const totals = await killRounds({
    seed,
    rounds,
    clients,
    signal: controller.signal,
    onRound: (round, soFar) => {
      if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${round + 1}/${rounds}: ${summary(soFar)}`);
      else if ((round + 1) % 50 === 0) process.stdout.write(`${round + 1}/${rounds}: ${summary(soFar)}\n`);
    },
  });
  process.stdout.write(`${process.stdout.isTTY ? '\n' : ''}${summary(totals)}\nnothing lost, nothing twice\n`);
}

const [name] = positionals;
const numbers = [values.rounds, values.clients, values.seed];
if (name !== 'kill' || numbers.some((text) => !/^\d+$/.test(text))) {
  process.stderr.write('usage: npm run chaos -- kill [--rounds N] [--clients N] [--seed N]\n');
  process.exitCode = 2;
} else {
  try {
    await kill();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
