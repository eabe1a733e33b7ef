import { ok, type Result } from '../base/index.ts';
import type { Command } from './command.ts';
import type { Kernel } from './kernel.ts';
import type { Caller } from './service.ts';

/**
 * ftrace_kill: the list function has met an ops without a callback (FTRACE_WARN_ON, 6.1). From then on nothing of ftrace moves, and attaching answers
 * ENODEV. Found by executing, so it comes from a call; the state changes under text_mutex like any other.
 */
export const FTRACE_KILL: Command<{ readonly at: number }, undefined> = {
  kind: 'ftrace-kill',
  describe: () => 'ftrace_kill',
  run({ kernel, caller }, { at }) {
    if (kernel.state.ftrace.isDisabled) return ok(undefined);
    kernel.state = { ...kernel.state, ftrace: { ...kernel.state.ftrace, isDisabled: true } };
    const place = kernel.view().place(at);
    kernel.events.append('image', {
      ftrace: 'dead',
      place,
      client: caller.client,
      rule: 'bpf.trampoline.ipmodify-order',
    });
    return ok(undefined);
  },
};

export const ftraceDied = (kernel: Kernel, caller: Caller, at: number): Promise<Result<undefined>> =>
  kernel.execute(FTRACE_KILL, caller, { at });
