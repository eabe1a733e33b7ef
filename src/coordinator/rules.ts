import type { Rule } from '../registry/index.ts';
import { JOURNAL_RULES } from './durable/rules.ts';
import { EXPLORATION_RULES } from './exploration-rules.ts';
import { FAULT_RULES } from './faults/rules.ts';
import { WORKLOAD_RULES } from './workload-rules.ts';

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

export const SESSION_UNKNOWN: Rule = {
  id: 'sessions.unknown',
  title: 'There is no such session',
  errno: 'ESRCH',
  what: 'The header `x-ktextd-session`, or the path, names a session that does not exist, has ended, or is another tenant’s.',
  why: 'Ignoring it would leave an attachment behind that its client believes to end with the session.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: [
    'Open a session, and send heartbeats within its time to live.',
    'Leave the header out: the attachment is then persistent.',
  ],
};

export const HISTORY_UNAVAILABLE: Rule = {
  id: 'history.unavailable',
  title: 'The past is not kept',
  errno: 'EOPNOTSUPP',
  what: '`?at=` (`asOf=` for text) asks for the kernel as it was, and the service keeps everything in memory only.',
  why: 'The past is read from the journal.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Start the service with `--data DIR`.', 'Each site’s own history is there without it.'],
};

export const HISTORY_COMPACTED: Rule = {
  id: 'history.compacted',
  title: 'That far back nothing is kept',
  errno: 'EINVAL',
  what: 'The number is that of an event before the oldest snapshot that the journal still has.',
  why: 'The journal keeps the last snapshots and the changes behind the oldest of them.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Ask for a later event; the message names the first.'],
};

export const HISTORY_NOT_YET: Rule = {
  id: 'history.not-yet',
  title: 'There is no such event yet',
  errno: 'EINVAL',
  what: 'The number is higher than that of the last event that is on disk.',
  why: 'Nothing is known of it.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Leave the number out for the present.'],
};

const QUOTA_WHY = 'A client that never detaches would fill the kernel for everybody.';

export const QUOTA_ATTACHMENTS: Rule = {
  id: 'quota.attachments',
  title: 'The client has as many attachments as it may have',
  errno: 'EMFILE',
  what: 'The operator started the service with a limit for each client (`--max-attachments`), and this one has reached it.',
  why: QUOTA_WHY,
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Detach what is no longer needed; sessions do that by themselves.'],
};

export const QUOTA_SITES: Rule = {
  id: 'quota.sites',
  title: 'The client is at as many sites as it may be',
  errno: 'EMFILE',
  what: 'The operator started the service with a limit for each client (`--max-sites`), and its attachments have reached it.',
  why: QUOTA_WHY,
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Detach what is no longer needed; sessions do that by themselves.'],
};

export const CURSOR_INVALID: Rule = {
  id: 'list.cursor.invalid',
  title: 'Not a cursor of this service',
  errno: 'EINVAL',
  what: 'A list was asked to go on at a cursor that it did not give.',
  why: 'Starting from the beginning instead would repeat items without a word.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Use `nextCursor` of the page before, or leave the cursor out.'],
};

export const CALL_ARGUMENT: Rule = {
  id: 'call.argument.invalid',
  title: 'Not an argument of a call',
  errno: 'EINVAL',
  what: 'A call is refused because one of its arguments is neither a number of 64 bits, nor bytes, nor a place, or because all of them need more memory than there is.',
  why: 'What the function would be given cannot be made of it.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['`"0x1"`, `-1`, `{"buffer": "00ff"}` or `{"symbol": "strcmp"}`.'],
};

export const CALL_PROTOTYPE: Rule = {
  id: 'call.sample.no-prototype',
  title: 'No prototype to make sample arguments from',
  errno: 'EINVAL',
  what: 'A call with `sample` is refused because BTF does not know the function, or it takes a structure by value.',
  why: 'Sample arguments follow the types of the parameters.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Give all arguments.'],
};

const CALL_DATA_RULES: readonly Rule[] = [
  {
    id: 'call.image.changed',
    title: 'The kernel file is not the one that was loaded',
    errno: 'EIO',
    what: 'A call is refused because the file that the kernel was loaded from has other contents now.',
    why: 'Data sections are read from it when the first call asks for them, and those of another kernel do not fit.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['Start the service again, on the file as it is now.'],
  },
];

export const RUNS_BUSY: Rule = {
  id: 'program.runs-busy',
  title: 'Too many programs wait to be run',
  errno: 'EAGAIN',
  what: 'A run of a program is refused because 256 are waiting, or because the thread that runs them ended.',
  why: 'Programs are run one after the other in a thread of their own; a queue without a bound would only move the waiting into memory.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Try again after the time in Retry-After.'],
};

export const VERIFICATIONS_BUSY: Rule = {
  id: 'program.verifications-busy',
  title: 'Too many programs wait to be verified',
  errno: 'EAGAIN',
  what: 'A program is refused because 256 are waiting for the verifier, or because its thread ended.',
  why: 'Programs are verified one after the other in a thread of their own; a queue without a bound would only move the waiting into memory.',
  linux: OURS,
  range: 'all',
  strictness: 'both',
  remedies: ['Try again after the time in Retry-After.'],
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

/** Why a service does not start: what was given as kernel or profile cannot be used. */
const LOADING_RULES: readonly Rule[] = [
  {
    id: 'image.unreadable',
    title: 'The kernel file cannot be read',
    errno: 'EIO',
    what: 'The path given as image is not there, may not be read, or failed while it was read.',
    why: 'The errno is the one of the file system.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['Give the path of a vmlinuz or vmlinux; `builtin` needs no file.'],
  },
  {
    id: 'image.malformed',
    title: 'The kernel file is damaged',
    errno: 'EINVAL',
    what: 'A structure of the file contradicts itself or runs past the end. The message names the structure and the offset.',
    why: 'A table that was half understood would make wrong answers about a real kernel.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['Compare the file’s checksum with its package.'],
  },
  {
    id: 'image.unsupported',
    title: 'Not a kernel this service can read',
    errno: 'EINVAL',
    what: 'The file is no x86-64 bzImage or ELF vmlinux, or lacks what the service needs (for example any symbol table).',
    why: 'Everything rests on knowing where the kernel’s functions are.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['Use a kernel with CONFIG_KALLSYMS, or an ELF vmlinux with its symbols.'],
  },
  {
    id: 'profile.unknown',
    title: 'No such boot profile',
    errno: 'ENOENT',
    what: 'The profile is neither the name of a built-in one nor a file that can be read.',
    why: 'Pristine text depends on the machine the kernel booted on.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['Leave the profile out to get `max`.'],
  },
  {
    id: 'profile.invalid',
    title: 'The boot profile has not the right form',
    errno: 'EINVAL',
    what: 'The JSON of a profile lacks a field, has an unknown one, or one of another type. The message names the field.',
    why: 'A profile that was half understood would make another kernel than the one asked about.',
    linux: OURS,
    range: 'all',
    strictness: 'both',
    remedies: ['`{name, cpu, vulnerabilities, cmdline}`: three `cat`s on a host; docs/boot-patching.md shows them.'],
  },
];

/** Rules of the coordinator itself, of text_mutex, of loading and of the journal. */
export const COORDINATOR_RULES: ReadonlyMap<string, Rule> = new Map(
  [
    SITE_REVISION,
    CURSOR_INVALID,
    SESSION_UNKNOWN,
    QUOTA_ATTACHMENTS,
    QUOTA_SITES,
    HISTORY_UNAVAILABLE,
    HISTORY_COMPACTED,
    HISTORY_NOT_YET,
    CALL_ARGUMENT,
    CALL_PROTOTYPE,
    RUNS_BUSY,
    VERIFICATIONS_BUSY,
    ...CALL_DATA_RULES,
    ...EXPLORATION_RULES,
    ...WORKLOAD_RULES,
    ...FAULT_RULES,
    ...TEXT_MUTEX_RULES,
    ...LOADING_RULES,
    ...JOURNAL_RULES,
  ].map((rule) => [rule.id, rule]),
);
