import { ok } from '../base/index.ts';
import type { Kernel } from './kernel.ts';
import { pageOf } from './paging.ts';
import type { SessionCalls, SessionView } from './service-sessions.ts';
import type { SessionReaper } from './session-reaper.ts';
import { END_SESSION, hashOf, namedSession, OPEN_SESSION, PIN, type Session, sessionOf } from './sessions.ts';

function viewOf(kernel: Kernel, reaper: SessionReaper, session: Session): SessionView {
  const { id, client, sinceMs, ttlMs } = session;
  return {
    session: id,
    client,
    since: new Date(sinceMs).toISOString(),
    ttlMs,
    expiresAt: new Date(kernel.clock.now() + reaper.remainingMs(id)).toISOString(),
    attachments: kernel.leases.leases.count((lease) => lease.session === id),
  };
}

export const sessionCalls = (kernel: Kernel, reaper: SessionReaper): SessionCalls => ({
  async openSession(caller, { client = caller.client, ttlMs }) {
    const secret = kernel.newSecret();
    const opened = await kernel.execute(OPEN_SESSION, caller, { hash: hashOf(secret), client, ttlMs });
    return opened.ok ? ok({ id: secret, ...viewOf(kernel, reaper, opened.value) }) : opened;
  },
  heartbeat(caller, secret) {
    const session = sessionOf(kernel, caller, secret);
    if (!session.ok) return session;
    reaper.touch(session.value);
    return ok(viewOf(kernel, reaper, session.value));
  },
  async endSession(caller, secret) {
    const session = sessionOf(kernel, caller, secret);
    if (!session.ok) return session;
    const ended = await kernel.execute(END_SESSION, caller, { id: session.value.id, because: 'closed' });
    // What cannot be detached yet is the reaper's from now on.
    if (ended.ok && ended.value.remaining > 0) reaper.expire(session.value.id);
    return ended;
  },
  refuseSession(caller, secret) {
    const session = sessionOf(kernel, caller, secret);
    return session.ok ? undefined : session.fault;
  },
  sessions: (query) => pageOf([...kernel.leases.sessions.values()], query, (each) => viewOf(kernel, reaper, each)),
  async pin(caller, id, pinned) {
    const session = namedSession(kernel, caller);
    if (!session.ok) return session;
    const named = session.value === undefined ? {} : { session: session.value };
    return kernel.execute(PIN, caller, { id, pinned, ...named });
  },
});
