/** `ktextd call FN ARGS`. */
import type { CallAnswer } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';

export interface CallFlags {
  readonly sample?: boolean;
  readonly cpu?: number;
}

/** Only what a call takes: commander's object has the common options, too. */
export const callFlags = ({ sample, cpu }: CallFlags): CallFlags => ({
  ...(sample === undefined ? {} : { sample }),
  ...(cpu === undefined ? {} : { cpu }),
});

type Argument = string | { readonly buffer: string } | { readonly symbol: string };

/** `48`, `-1`, `0xff`; `hex:00ff` and `str:text` are buffers; `@strcmp` is an address. */
function parseArgument(text: string): Argument {
  if (text.startsWith('hex:')) return { buffer: text.slice('hex:'.length) };
  if (text.startsWith('str:')) return { buffer: Buffer.from(`${text.slice('str:'.length)}\0`, 'utf8').toString('hex') };
  return text.startsWith('@') ? { symbol: text.slice(1) } : text;
}

function endText(answer: CallAnswer): string {
  if (answer.fault !== null) return `${answer.fault.name} at ${answer.fault.place}: ${answer.fault.detail}`;
  return answer.returnValue ?? `stopped: too many ${answer.exceeded === 'time' ? 'milliseconds' : 'instructions'}`;
}

export function callText(answer: CallAnswer): string {
  const fired = answer.fired.map((each) => {
    const result = each.returnValue === null ? '' : ` = ${each.returnValue}`;
    return `  ${each.kind} ${each.attachment} at ${each.place} (${each.args.join(', ')})${result}\n`;
  });
  const missed = answer.misses.map((each) => `  missed: ${each.kind} ${each.attachment}, ${each.reason}\n`);
  const buffers = answer.buffers.map((each) => `  argument ${each.arg}: ${each.bytes}\n`);
  const log = answer.log.map((line) => `  log: ${line}\n`);
  const head = `${answer.function}: ${endText(answer)}, ${answer.instructions} instructions\n`;
  return [head, ...fired, ...missed, ...buffers, ...log].join('');
}

export async function call(
  { client, show }: Context,
  name: string,
  args: readonly string[],
  flags: CallFlags,
): Promise<ExitCode> {
  const request = { function: name, args: args.map(parseArgument), ...flags };
  return show(await client.call(request), callText);
}
