import type { Rule } from '../registry/index.ts';

const OURS = 'no counterpart';

export const SITE_REVISION: Rule = {
  id: 'precondition.site-revision',
  title: 'The site has moved on',
  errno: 'EAGAIN',
  what: 'An attach request with `If-Match` is refused because the site’s revision is another one.',
  why: 'The caller decided on what it had read; meanwhile an owner came or went.',
  linux: 'no counterpart; bpf_mprog has expected_revision',
  range: 'all',
  strictness: 'both',
  remedies: ['Read the site again and decide again.'],
};

const TEXT_MUTEX_RULES: readonly Rule[] = [
  {
    id: 'text-mutex.queue-full',
    title: 'Too many requests wait for text_mutex',
    errno: 'EAGAIN',
    what: 'A change is refused because the queue for text_mutex is full.',
    why: 'A queue without a bound would only move the waiting into memory.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['Try again after the time in Retry-After.'],
  },
  {
    id: 'text-mutex.deadline',
    title: 'The deadline passed while waiting for text_mutex',
    errno: 'ETIMEDOUT',
    what: 'A change is given up because its deadline passed before its turn came. Nothing was changed.',
    why: 'The caller said how long it would wait.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['Try again, or allow more time.'],
  },
  {
    id: 'text-mutex.aborted',
    title: 'The caller went away before its turn',
    errno: 'ECANCELED',
    what: 'A change is given up because its client disconnected before text_mutex was free. Nothing was changed.',
    why: 'Nobody waits for the answer.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: [],
  },
  {
    id: 'text-mutex.reentered',
    title: 'text_mutex is held by this very request',
    errno: 'EDEADLK',
    what: 'Taking text_mutex from inside the work that holds it is refused.',
    why: 'It would wait for itself. Linux would deadlock; lockdep reports it.',
    linux: 'lockdep, kernel/locking/lockdep.c (6.12)',
    range: 'all',
    strictness: 'both',
    remedies: [],
  },
];

/** Rules of the coordinator itself and of text_mutex. */
export const COORDINATOR_RULES: ReadonlyMap<string, Rule> = new Map(
  [SITE_REVISION, ...TEXT_MUTEX_RULES].map((rule) => [rule.id, rule]),
);
