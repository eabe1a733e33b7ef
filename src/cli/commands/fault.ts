/** `ktextd fault inject|ls|rm`. */
import type { FaultRequest, FaultView } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { table } from '../output.ts';

export type FaultFlags = Omit<FaultRequest, 'name'>;

const OPTIONS = ['times', 'after', 'command', 'client', 'place', 'ms', 'cpu', 'phase', 'mode'] as const;

const optionsText = ({ options }: FaultView): string =>
  OPTIONS.flatMap((key) => (options[key] === undefined ? [] : [`${key}=${options[key]}`])).join(' ');

const faultText = (fault: FaultView): string => {
  const { id, name, fired, remaining } = fault;
  const text = optionsText(fault);
  return `${id} ${name}${text === '' ? '' : ` ${text}`}: happened ${fired} times, will ${remaining} times\n`;
};

export async function inject({ client, show }: Context, name: string, flags: FaultFlags): Promise<ExitCode> {
  const given = Object.fromEntries(OPTIONS.flatMap((key) => (flags[key] === undefined ? [] : [[key, flags[key]]])));
  return show(await client.injectFault({ name, ...given }), faultText);
}

export async function ls({ client, show }: Context): Promise<ExitCode> {
  return show(await client.faults({ limit: 1000 }), ({ items }) =>
    table([
      ['ID', 'NAME', 'CLIENT', 'SEEN', 'FIRED', 'REMAINING', 'SINCE', 'OPTIONS'],
      ...items.map((fault) => [
        fault.id,
        fault.name,
        fault.client,
        ...[fault.seen, fault.fired, fault.remaining].map(String),
        fault.since,
        optionsText(fault),
      ]),
    ]),
  );
}

export const remove = async ({ client, show }: Context, id: string): Promise<ExitCode> =>
  show(await client.removeFault(id), faultText);
