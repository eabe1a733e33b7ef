/**
 * Sessions: leases, as a process's open file descriptors are. What is attached in a session is detached when it ends, unless it is pinned, as
 * a pinned BPF link outlives the process that made it. The secret that names a session is the client's alone: here its hash is kept.
 */
import { createHash } from 'node:crypto';
import type { Map as ImmutableMap } from 'immutable';
import { Map as EmptyMap } from 'immutable';
import { err, type Fault, ok, type Result } from '../base/index.ts';
import { type KernelState, refuse } from '../registry/index.ts';
import { attachmentAnswer } from './attachment-answer.ts';
import type { Command, CommandTurn } from './command.ts';
import { detachOne, own, reject } from './commands.ts';
import type { Kernel } from './kernel.ts';
import { SESSION_UNKNOWN } from './rules.ts';
import type { AttachmentView, Caller } from './service.ts';

export interface Session {
  /** Names it in events and answers; gives no right. */
  readonly id: string;
  /** SHA-256 of the secret, hex. */
  readonly hash: string;
  readonly client: string;
  readonly tenant: string;
  readonly ttlMs: number;
  readonly sinceMs: number;
}

/** How long an attachment stays. */
export interface Lease {
  /** Undefined: it was pinned, and the session that made it is gone. */
  readonly session: string | undefined;
  readonly isPinned: boolean;
}

export interface Leases {
  readonly sessions: ImmutableMap<string, Session>;
  /** By attachment; one that is not here is persistent. */
  readonly leases: ImmutableMap<string, Lease>;
}

export const NO_LEASES: Leases = { sessions: EmptyMap(), leases: EmptyMap() };

export const hashOf = (secret: string): string => createHash('sha256').update(secret, 'utf8').digest('hex');

const unknown = (): Fault => refuse(SESSION_UNKNOWN, { detail: 'The session does not exist, or has ended.' });

/** The session that a secret names; it must be the caller's tenant's. */
export function sessionOf(kernel: Kernel, caller: Caller, secret: string): Result<Session> {
  const hash = hashOf(secret);
  const session = kernel.leases.sessions.find((each) => each.hash === hash);
  return session === undefined || (session.tenant !== caller.tenant && !caller.isAdmin) ? err(unknown()) : ok(session);
}

/** The session of the request, by its number: undefined when it names none. */
export function namedSession(kernel: Kernel, caller: Caller): Result<string | undefined> {
  if (caller.session === undefined) return ok(undefined);
  const session = sessionOf(kernel, caller, caller.session);
  return session.ok ? ok(session.value.id) : session;
}

/** While the caller waited for its turn the session may have ended. */
export const sessionGone = (kernel: Kernel, session: string | undefined): Fault | undefined =>
  session === undefined || kernel.leases.sessions.has(session) ? undefined : unknown();

export function lease(kernel: Kernel, attachment: string, { session, isPinned }: Lease): void {
  const { leases } = kernel.leases;
  const isPersistent = session === undefined && !isPinned;
  kernel.leases = {
    ...kernel.leases,
    leases: isPersistent ? leases.delete(attachment) : leases.set(attachment, { session, isPinned }),
  };
}

/**
 * Forgets the leases of attachments that are gone since `before`. Those that the events of the command name are gone one by one; all leases are looked
 * through when there were more: a reset names none, and what adds an attachment names those that it ends.
 */
export function pruneLeases(kernel: Kernel, before: KernelState['attachments'], told: readonly string[]): void {
  const { leases } = kernel.leases;
  const { attachments } = kernel.state;
  if (leases.size === 0 || attachments === before) return;
  const gone = told.filter((id) => before.has(id) && !attachments.has(id));
  const isAll = attachments.size >= before.size - gone.length;
  const kept = isAll ? leases.deleteAll(gone) : leases.filter((_, id) => attachments.has(id));
  if (kept.size !== leases.size) kernel.leases = { ...kernel.leases, leases: kept };
}

export const OPEN_SESSION: Command<
  { readonly hash: string; readonly client: string; readonly ttlMs: number },
  Session
> = {
  kind: 'open-session',
  isAnswerPrivate: true,
  describe: () => 'open a session',
  run({ kernel, caller, now }, { hash, client, ttlMs }) {
    const session = { id: now.newId('ses'), hash, client, tenant: caller.tenant, ttlMs, sinceMs: now.ms };
    kernel.leases = { ...kernel.leases, sessions: kernel.leases.sessions.set(session.id, session) };
    kernel.events.append('session', { session: session.id, client, ttlMs, what: 'opened' });
    return ok(session);
  },
};

export interface SessionEnd {
  readonly session: string;
  readonly detached: number;
  /** Pinned: they stay. */
  readonly pinned: number;
  /** Attachments that cannot be detached now; the session goes on ending until they are. */
  readonly remaining: number;
}

type Because = 'closed' | 'expired';

/**
 * Detaches what the session holds, newest first, by the same path as anybody's detach, and ends the session when nothing is left. What
 * cannot be detached now (a livepatch in transition) is tried again.
 */
export const END_SESSION: Command<{ readonly id: string; readonly because: Because }, SessionEnd> = {
  kind: 'end-session',
  describe: ({ because }) => `end a session that is ${because}`,
  run(turn, { id, because }) {
    const { kernel } = turn;
    const session = kernel.leases.sessions.get(id);
    if (session === undefined) return reject(kernel, turn.caller, { session: id }, unknown());
    const held = [...kernel.leases.leases].filter(([, each]) => each.session === id);
    const pinned = held.filter(([, each]) => each.isPinned).map(([attachment]) => attachment);
    const rest = held.filter(([, each]) => !each.isPinned).map(([attachment]) => attachment);
    const detached = detachAll(turn, session, rest);
    const remaining = rest.length - detached;
    if (remaining === 0) {
      for (const attachment of pinned) lease(kernel, attachment, { session: undefined, isPinned: true });
      kernel.leases = { ...kernel.leases, sessions: kernel.leases.sessions.delete(id) };
    }
    const { client } = session;
    const what = remaining === 0 ? 'ended' : 'ending';
    kernel.events.append('session', { session: id, client, what, because, detached, pinned: pinned.length, remaining });
    return ok({ session: id, detached, pinned: pinned.length, remaining });
  },
};

function detachAll(turn: CommandTurn, session: Session, attachments: readonly string[]): number {
  const { kernel } = turn;
  const newestFirst = [...attachments].sort(
    (a, b) => (kernel.state.attachments.get(b)?.sequence ?? 0) - (kernel.state.attachments.get(a)?.sequence ?? 0),
  );
  const caller = { ...turn.caller, client: session.client, tenant: session.tenant, isAdmin: true };
  let detached = 0;
  for (const id of newestFirst) {
    const isThere = kernel.state.attachments.has(id);
    if (!isThere || detachOne({ ...turn, caller }, id).ok) detached += 1;
  }
  return detached;
}

/** `session`: whose lease an attachment becomes that is no longer pinned. */
export const PIN: Command<
  { readonly id: string; readonly pinned: boolean; readonly session?: string },
  AttachmentView
> = {
  kind: 'pin',
  describe: ({ pinned }) => (pinned ? 'pin' : 'unpin'),
  run({ kernel, caller }, { id, pinned, session }) {
    const attachment = own(kernel, caller, id);
    const fault = attachment.ok ? sessionGone(kernel, session) : attachment.fault;
    if (fault !== undefined) return reject(kernel, caller, { pinned, attachment: id }, fault);
    const before = kernel.leases.leases.get(id)?.session;
    lease(kernel, id, { session: session ?? before, isPinned: pinned });
    const { client } = caller;
    kernel.events.append('session', {
      attachment: id,
      session: session ?? before ?? null,
      client,
      what: pinned ? 'pinned' : 'unpinned',
    });
    return attachment.ok ? ok(attachmentAnswer(kernel, attachment.value, false)) : attachment;
  },
};
