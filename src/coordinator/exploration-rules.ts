import type { Rule } from '../registry/index.ts';

const COMMON = { linux: 'no counterpart', range: 'all', strictness: 'both' } as const;

export const EXPLORATION_UNKNOWN: Rule = {
  ...COMMON,
  id: 'exploration.unknown',
  title: 'There is no such exploration',
  errno: 'ENOENT',
  what: 'The path names an exploration that was never begun, was deleted, or is so old that its result is no longer kept. None survives a restart.',
  why: 'The results of a bounded number are kept.',
  remedies: ['`GET /v1/explorations` lists those that are kept; begin it again.'],
};

export const EXPLORATION_NOT_YOURS: Rule = {
  ...COMMON,
  id: 'exploration.not-yours',
  title: 'The exploration belongs to another tenant',
  errno: 'EPERM',
  what: 'Deleting an exploration is refused to tenants other than the one that began it.',
  why: 'It would throw away work that somebody else waits for.',
  remedies: ['Ask its client, or use an administrator’s token.'],
};

export const EXPLORATION_NO_TRACE: Rule = {
  ...COMMON,
  id: 'exploration.no-trace',
  title: 'The exploration has no trace',
  errno: 'ENOENT',
  what: 'A picture is asked for of an exploration that still runs, or that came to no run worth showing.',
  why: 'Only a schedule that shows a fault, or one that was replayed, has a trace; where everything holds there are as many runs as schedules.',
  remedies: ['Wait until its `state` is `done`; explore with the strategy `replay` to see one schedule.'],
};

export const EXPLORATION_SCENARIO: Rule = {
  ...COMMON,
  id: 'exploration.scenario.invalid',
  title: 'Not a scenario that can be explored',
  errno: 'EINVAL',
  what: 'The scenario names what is not there, gives an operation a field that belongs to another, or has code that cannot be encoded; or the schedule to replay is none of its own. The message says where.',
  why: 'A scenario that was half understood would hold for the wrong reason.',
  remedies: ['docs/explore.md has the format, examples/explorations has scenarios.'],
};

export const EXPLORATION_QUOTA: Rule = {
  ...COMMON,
  id: 'quota.explorations',
  title: 'Too many explorations run',
  errno: 'EAGAIN',
  what: 'A further exploration is refused while as many run as the service allows at once.',
  why: 'Each takes a processor and memory for all its states; a queue would only hide that.',
  remedies: ['Try again after the time in Retry-After, or delete one that runs.'],
};

export const EXPLORATION_RULES: readonly Rule[] = [
  EXPLORATION_UNKNOWN,
  EXPLORATION_NOT_YOURS,
  EXPLORATION_NO_TRACE,
  EXPLORATION_SCENARIO,
  EXPLORATION_QUOTA,
];
