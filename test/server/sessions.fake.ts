/** Sessions of the coordinator for tests of the edge. */
import { err, ok } from '../../src/base/index.ts';
import type { AttachmentView, Coordinator, SessionView } from '../../src/coordinator/index.ts';

type Sessions = Pick<Coordinator, 'openSession' | 'heartbeat' | 'endSession' | 'refuseSession' | 'sessions' | 'pin'>;

const TIME = '2026-01-01T00:00:00.000Z';

export function fakeSessions(attachments: Map<string, AttachmentView>): Sessions {
  const sessions = new Map<string, SessionView>();
  const unknown = { errno: 'ESRCH' as const, rule: 'sessions.unknown', detail: 'There is no such session.' };
  return {
    async openSession(caller, { client = caller.client, ttlMs }) {
      const id = `secret-${sessions.size + 1}`;
      const view = { session: `ses_${sessions.size + 1}`, client, since: TIME, ttlMs, expiresAt: TIME, attachments: 0 };
      sessions.set(id, view);
      return ok({ id, ...view });
    },
    heartbeat(_caller, id) {
      const found = sessions.get(id);
      return found === undefined ? err(unknown) : ok(found);
    },
    async endSession(_caller, id) {
      const found = sessions.get(id);
      sessions.delete(id);
      return found === undefined ? err(unknown) : ok({ session: found.session, detached: 0, pinned: 0, remaining: 0 });
    },
    refuseSession: (_caller, id) => (sessions.has(id) ? undefined : unknown),
    sessions: () => ok({ items: [...sessions.values()], nextCursor: null }),
    async pin(_caller, id, pinned) {
      const found = attachments.get(id);
      if (found === undefined) return err({ errno: 'ENOENT', rule: 'attachment.unknown', detail: `No ${id}.` });
      const changed = { ...found, pinned };
      attachments.set(id, changed);
      return ok(changed);
    },
  };
}
