/** Why a journal is not opened, and why a change is not acknowledged. The faults are made in journal/. */
import type { Rule } from '../../registry/index.ts';

const OURS = { linux: 'no counterpart', range: 'all', strictness: 'both' } as const;

export const JOURNAL_RULES: readonly Rule[] = [
  {
    ...OURS,
    id: 'journal.corrupt',
    title: 'The journal is damaged',
    errno: 'EIO',
    what: 'The service does not start, because a record or snapshot of its journal has another checksum than when it was written, is missing, or leads to another state than it led to. The message names it.',
    why: 'Going on from a state that nobody acknowledged would lose what somebody was told is safe, without a word. Nothing in the journal is changed.',
    remedies: [
      '`ktextd journal check DIR` lists all that is wrong.',
      '`ktextd journal repair DIR` keeps a copy and cuts the journal at the first damaged record: what came later is lost, and is listed.',
      '`ktextd journal import` puts back an earlier `ktextd journal export`.',
    ],
  },
  {
    ...OURS,
    id: 'journal.other-kernel',
    title: 'The journal is of another kernel',
    errno: 'EINVAL',
    what: 'The directory given as `--data` has the journal of another image, profile or strictness.',
    why: 'Offsets and owners of one kernel’s text mean nothing in another’s.',
    remedies: ['Start with the kernel, profile and strictness of the journal.', 'Give another directory.'],
  },
  {
    ...OURS,
    id: 'journal.in-use',
    title: 'Another service uses this journal',
    errno: 'EBUSY',
    what: 'A second service was started with the same `--data` directory.',
    why: 'Two services would each acknowledge changes that the other does not know of.',
    remedies: ['Stop the other service.', 'Give another directory.'],
  },
  {
    ...OURS,
    id: 'journal.unusable',
    title: 'The data directory cannot be used',
    errno: 'EIO',
    what: 'The directory given as `--data` cannot be made, read or written, or its file is no journal.',
    why: 'Without it nothing can be acknowledged.',
    remedies: ['Give a directory that the service may write.', 'Start with `--ephemeral` to keep nothing.'],
  },
  {
    ...OURS,
    id: 'journal.disk-full',
    title: 'The journal’s disk is full',
    errno: 'EAGAIN',
    what: 'A change could not be written to the journal, or is not even tried while an earlier one waits for room. Reads go on.',
    why: 'What is acknowledged must survive a crash. A change that was under way when the disk filled up is kept in memory and written when there is room: it is then there as a whole, although it was not acknowledged.',
    remedies: ['Make room; the service tries again by itself.', 'Repeat the request with the same Idempotency-Key.'],
  },
  {
    ...OURS,
    id: 'journal.write-failed',
    title: 'The journal cannot be written',
    errno: 'EAGAIN',
    what: 'Writing the journal failed. The message has what the system said. Reads go on.',
    why: 'As for a full disk: nothing is acknowledged that a crash could take away.',
    remedies: [
      'Look at the disk; the service tries again by itself.',
      'Repeat the request with the same Idempotency-Key.',
    ],
  },
];
