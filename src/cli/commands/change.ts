/** Commands that ask for a change, or what one would do: attach, detach, plan. */
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { attachText, detachText, planText } from '../output.ts';
import { readPlan } from '../plan-file.ts';
import { withProgress } from '../progress.ts';
import { parseOption, parseSpec } from '../spec.ts';

export interface AttachFlags {
  readonly option: readonly string[];
  readonly postHandler?: boolean;
  readonly saveRegs?: boolean;
  readonly ipmodify?: boolean;
  readonly sharesIpmodify?: boolean;
  readonly sleepable?: boolean;
  readonly via?: string;
  readonly program?: string;
  readonly idempotencyKey?: string;
}

const NAMED = ['postHandler', 'saveRegs', 'ipmodify', 'sharesIpmodify', 'sleepable', 'via'] as const;

function attachOptions(flags: AttachFlags): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const name of NAMED) if (flags[name] !== undefined) options[name] = flags[name];
  for (const [key, value] of flags.option.map(parseOption)) options[key] = value;
  return options;
}

export async function attach(context: Context, spec: string, flags: AttachFlags): Promise<ExitCode> {
  const { client, show } = context;
  const options = attachOptions(flags);
  const request = {
    ...parseSpec(spec),
    ...(flags.program === undefined ? {} : { program: flags.program }),
    ...(Object.keys(options).length === 0 ? {} : { options }),
  };
  const { idempotencyKey } = flags;
  const key = idempotencyKey === undefined ? {} : { idempotencyKey };
  return show(await withProgress(context, () => client.attach(request, key)), attachText);
}

export async function detach(context: Context, id: string): Promise<ExitCode> {
  const { client, show } = context;
  return show(await withProgress(context, () => client.detach(id)), detachText);
}

export interface PlanFlags {
  readonly kernel?: string;
  readonly solve?: boolean;
}

/** Refused (1) when a step would be. */
export async function plan({ client, show }: Context, file: string, flags: PlanFlags): Promise<ExitCode> {
  const solve = flags.solve === true ? 'order' : undefined;
  return show(await client.plan(readPlan(file), flags.kernel, solve), planText, (p) => (p.wouldSucceed ? 0 : 1));
}
