import { ok, type Result } from '../base/index.ts';
import { decideSysctl } from '../registry/index.ts';
import { announcePokes } from './announce-pokes.ts';
import type { Command } from './command.ts';
import { reject } from './commands.ts';
import type { Kernel } from './kernel.ts';
import type { Caller, SysctlView } from './service.ts';

export const setSysctl = (kernel: Kernel, caller: Caller, name: string, value: number): Promise<Result<SysctlView>> =>
  kernel.execute(SYSCTL, caller, { name, value });

/** Writes a sysctl. */
export const SYSCTL: Command<{ readonly name: string; readonly value: number }, SysctlView> = {
  kind: 'sysctl',
  describe: ({ name }) => `sysctl ${name}`,
  run({ kernel, held, caller }, { name, value }) {
    const decision = decideSysctl(kernel.world, kernel.state, kernel.text, name, value);
    const { outcome, ops, warnings } = decision;
    kernel.apply(held, decision, { client: caller.client, kind: 'sysctl' });
    if (outcome.kind === 'refused') return reject(kernel, caller, { sysctl: name, value }, outcome.fault);
    kernel.events.append('image', { sysctl: outcome.name, value: outcome.value, client: caller.client, warnings });
    announcePokes(kernel, caller, null, ops);
    return ok({ name: outcome.name, value: outcome.value });
  },
};
