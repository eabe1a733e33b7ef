/** Refusals about injected faults, and what a command answers that one of them has hit. */
import type { Rule } from '../../registry/index.ts';

const OURS = { linux: 'no counterpart', range: 'all', strictness: 'both' } as const;

export const FAULT_NOT_ENABLED: Rule = {
  ...OURS,
  id: 'fault.not-enabled',
  title: 'This service injects no faults',
  errno: 'EPERM',
  what: 'Arming, listing and removing faults is refused by a service that was not started with `--inject-faults`.',
  why: 'A fault makes commands of other clients fail, or ends the process. Whoever runs the service has to want that.',
  remedies: ['For tests, start a service of your own with `ktextd serve --inject-faults`.'],
};

export const FAULT_NAME: Rule = {
  ...OURS,
  id: 'fault.name',
  title: 'There is no fault of this name',
  errno: 'EINVAL',
  what: 'The name of a fault to inject is none of those that the service knows. The message lists them.',
  why: 'A test that arms nothing would pass for the wrong reason.',
  remedies: ['Use one of the names in the message.'],
};

export const FAULT_OPTIONS: Rule = {
  ...OURS,
  id: 'fault.options',
  title: 'The fault does not take this option, or needs another',
  errno: 'EINVAL',
  what: 'An option was given that means nothing for this fault, or one is missing without which it cannot happen. The message names it.',
  why: 'A fault that is armed otherwise than its author thinks tests something else.',
  remedies: ['docs/operating.md lists the options of each fault.'],
};

export const FAULT_NO_JOURNAL: Rule = {
  ...OURS,
  id: 'fault.no-journal',
  title: 'There is no journal to fail',
  errno: 'EOPNOTSUPP',
  what: 'A fault of the journal is armed in a service that keeps everything in memory.',
  why: 'It could never happen.',
  remedies: ['Start the service with `--data DIR`.'],
};

export const FAULT_TOO_MANY: Rule = {
  ...OURS,
  id: 'fault.too-many',
  title: 'Too many faults are armed',
  errno: 'ENOSPC',
  what: 'Another fault is armed while as many as the service keeps have yet to happen.',
  why: 'Each is looked at in every step of every command.',
  remedies: ['Remove some with `DELETE /v1/faults/ID`.'],
};

export const FAULT_UNKNOWN: Rule = {
  ...OURS,
  id: 'fault.unknown',
  title: 'There is no such fault',
  errno: 'ENOENT',
  what: 'The id names no fault: it was removed, or was over and has made room for others.',
  why: 'There is nothing to remove.',
  remedies: ['`GET /v1/faults` lists those that there are.'],
};

export const FAULT_DROPPED_IPI: Rule = {
  ...OURS,
  id: 'fault.dropped-ipi',
  title: 'Injected: a CPU did not acknowledge a sync round',
  errno: 'ETIMEDOUT',
  what: 'A command was given up because a fault that somebody injected kept a CPU from answering the IPI of text_poke_sync. All that the command had poked was undone; it is as if it had never been asked for.',
  why: 'Linux would wait for that CPU for ever (smp_call_function_many_cond; csd_lock_wait complains). Here it is tried out what a command leaves behind that does not get to its end.',
  linux: 'text_poke_sync, arch/x86/kernel/alternative.c (6.12)',
  remedies: ['Try again: nothing is left of the attempt.', '`ktextd fault ls` shows which fault it was.'],
};

export const FAULT_CRASH: Rule = {
  ...OURS,
  id: 'fault.crash-between-phases',
  title: 'Injected: a command ended between two phases',
  errno: 'EAGAIN',
  what: 'A command was given up between two phases of its pokes by a fault that somebody injected. All that it had poked was undone; it is as if it had never been asked for.',
  why: 'A command is all or nothing, at whichever step it ends.',
  remedies: ['Try again: nothing is left of the attempt.', '`ktextd fault ls` shows which fault it was.'],
};

export const FAULT_RULES: readonly Rule[] = [
  FAULT_NOT_ENABLED,
  FAULT_NAME,
  FAULT_OPTIONS,
  FAULT_NO_JOURNAL,
  FAULT_TOO_MANY,
  FAULT_UNKNOWN,
  FAULT_DROPPED_IPI,
  FAULT_CRASH,
];
