/** `ktextd workload start|ls|show|stop`. */
import type { WorkloadRequest, WorkloadView } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { table } from '../output.ts';
import { readJson } from '../plan-file.ts';
import { UsageError } from '../usage.ts';

function workloadText(w: WorkloadView): string {
  const { live, stopped } = w.changes;
  return [
    `${w.id}: ${w.state}${w.why === null ? '' : ` (${w.why})`}, ${w.functions.join(' ')} on ${w.cpus} CPUs\n`,
    `  ${w.started} calls begun, ${w.finished} ended, ${w.wrong} of them wrong; ${w.instructions} instructions\n`,
    `  owners ran ${w.hits} times, were missed ${w.misses} times\n`,
    `  ${live} changes under running calls, ${stopped} while none ran; ${w.crossed} calls met one, ${w.pokeTraps} traps into a poke\n`,
    ...(w.firstWrong === null ? [] : [`  first wrong: ${w.firstWrong}\n`]),
  ].join('');
}

/** `file` is a WorkloadRequest as JSON; - is standard input. */
export async function start({ client, show }: Context, file: string): Promise<ExitCode> {
  const request = readJson(file);
  if (typeof request !== 'object' || request === null || !('calls' in request))
    throw new UsageError(`${file} has no "calls"`, '', 0);
  return show(await client.startWorkload(request as WorkloadRequest), workloadText);
}

/** Refused (1) when a call was wrong. */
const verdict = ({ wrong }: WorkloadView): ExitCode => (wrong === 0 ? 0 : 1);

export const one = async ({ client, show }: Context, id: string): Promise<ExitCode> =>
  show(await client.workload(id), workloadText, verdict);

export const stop = async ({ client, show }: Context, id: string): Promise<ExitCode> =>
  show(await client.stopWorkload(id), workloadText, verdict);

export async function ls({ client, show }: Context): Promise<ExitCode> {
  return show(await client.workloads({ limit: 100 }), ({ items }) =>
    table([
      ['ID', 'STATE', 'CLIENT', 'CPUS', 'BEGUN', 'ENDED', 'WRONG', 'SINCE', 'FUNCTIONS'],
      ...items.map((w) => [
        w.id,
        w.state,
        w.client,
        ...[w.cpus, w.started, w.finished, w.wrong].map(String),
        w.since,
        w.functions.join(' '),
      ]),
    ]),
  );
}
