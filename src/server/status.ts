import type { Errno, Fault } from '../base/index.ts';
import { edgeStatus, isEdgeRule } from './rules.ts';

const BY_ERRNO: Readonly<Partial<Record<Errno, number>>> = {
  ENOENT: 404,
  ESRCH: 404,
  EBUSY: 409,
  EEXIST: 409,
  EADDRINUSE: 409,
  E2BIG: 409,
  ENOSPC: 409,
  EMFILE: 409,
  EACCES: 403,
  EPERM: 403,
  ETIMEDOUT: 503,
  EAGAIN: 503,
  ENODEV: 503,
};

const BY_RULE: Readonly<Record<string, number>> = { 'sessions.unknown': 401, 'precondition.site-revision': 412 };

/** The HTTP status of a fault: by its rule where HTTP has a word for it, else by its errno; every errno not in the table is 422. */
export function httpStatus(fault: Pick<Fault, 'errno' | 'rule'>): number {
  if (isEdgeRule(fault.rule)) return edgeStatus(fault.rule);
  if (fault.rule.startsWith('quota.')) return 429;
  // A program that does not load is a request that cannot be processed, whatever the errno.
  if (
    /^bpf\.verifier(?:\.|$)|^bpf\.(?:insn|jit|program|helper|object)\.|^bpf\.map\.(?:attributes|reference)$/.test(
      fault.rule,
    )
  )
    return 422;
  return BY_RULE[fault.rule] ?? BY_ERRNO[fault.errno] ?? 422;
}

/** Seconds for Retry-After; undefined when waiting alone will not help (ENODEV: ftrace is dead). */
export function retryAfterSeconds(fault: Pick<Fault, 'errno' | 'rule'>): number | undefined {
  const status = httpStatus(fault);
  if (status === 429) return 1;
  return status === 503 && fault.errno !== 'ENODEV' ? 1 : undefined;
}
