import type { Errno } from './errno.ts';

/** Someone who stands in the way, as reported to the one who is refused. */
export interface Holder {
  readonly attachment: string;
  readonly kind: string;
  readonly client: string;
  /** ISO 8601. */
  readonly since: string;
}

/** The function and file in Linux that decide, e.g. `__ftrace_hash_update_ipmodify, kernel/trace/ftrace.c (6.12)`. */
export type LinuxDecider = string;

/**
 * An expected failure. Returned, never thrown. `rule` is a stable id (`ftrace.ipmodify.exclusive`) that has a documentation page;
 * `detail` says in one sentence what was attempted, on what, and why it cannot be.
 */
export interface Fault {
  readonly errno: Errno;
  readonly rule: string;
  readonly detail: string;
  readonly linux?: LinuxDecider;
  readonly place?: string;
  readonly holders?: readonly Holder[];
  readonly remedies?: readonly string[];
  /** Failing element of a request for several sites. */
  readonly index?: number;
  /** Hex. Where bytes disagreed: what the owner's state says must be there, and what is. */
  readonly expected?: string;
  readonly actual?: string;
  /** What a verifier wrote on its way to the refusal. */
  readonly log?: string;
}

export type Result<T, E = Fault> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: E };

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });
export const err = <E>(fault: E): { readonly ok: false; readonly fault: E } => ({ ok: false, fault });
