/** How the journal answers when it cannot do its work. The rules' pages are with the coordinator's. */
import type { Fault } from '../base/index.ts';

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'MDB_MAP_FULL']);

const codeOf = (error: unknown): string => {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code === 'string') return code;
  const text = String(message ?? error);
  return /no space/i.test(text) ? 'ENOSPC' : /map.?full|mapsize/i.test(text) ? 'MDB_MAP_FULL' : text;
};

/** A commit that failed: the caller's change is not acknowledged; it may still become durable once the disk is back. */
export function writeFault(error: unknown): Fault {
  const code = codeOf(error);
  const isFull = NO_SPACE.has(code);
  return {
    errno: 'EAGAIN',
    rule: isFull ? 'journal.disk-full' : 'journal.write-failed',
    detail: isFull
      ? `The journal's disk is full (${code}): nothing more is acknowledged until there is room.`
      : `The journal could not be written (${code}): nothing more is acknowledged until that works again.`,
    remedies: isFull
      ? ['make room on the disk of --data; the service goes on by itself', 'retry with the same Idempotency-Key']
      : ['look at the disk of --data; the service goes on by itself', 'retry with the same Idempotency-Key'],
  };
}

export const corrupt = (detail: string): Fault => ({
  errno: 'EIO',
  rule: 'journal.corrupt',
  detail,
  remedies: [
    '`ktextd journal check DIR` lists all that is wrong',
    '`ktextd journal repair DIR` cuts the journal at the first damaged record, after a copy of the file',
  ],
});
