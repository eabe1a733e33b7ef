/** Leases: what is attached in a session is detached when it ends. */
import { optionalPageQuery, pageOf, strict, Timestamp } from './common.ts';
import { Type } from './type.ts';

export const TTL_MS_MIN = 100;
export const TTL_MS_MAX = 24 * 3600 * 1000;

export const SessionBody = Type.Object(
  {
    client: Type.Optional(
      Type.String({ pattern: '^[\\x20-\\x7e]{1,64}$', description: 'A label; without one the request’s' }),
    ),
    ttlMs: Type.Integer({
      minimum: TTL_MS_MIN,
      maximum: TTL_MS_MAX,
      description: 'It ends when no heartbeat comes for so long',
    }),
  },
  { ...strict, title: 'SessionRequest' },
);

const VIEW = {
  session: Type.String({ description: 'Names it in events and answers; gives no right' }),
  client: Type.String(),
  since: Timestamp,
  ttlMs: Type.Integer(),
  expiresAt: Timestamp,
  attachments: Type.Integer(),
} as const;

export const SessionView = Type.Object(VIEW, { title: 'SessionView' });

export const SessionAnswer = Type.Object(
  { id: Type.String({ description: 'A secret: for `x-ktextd-session` and the session’s own calls' }), ...VIEW },
  { title: 'SessionAnswer' },
);

export const SessionEndAnswer = Type.Object(
  {
    session: Type.String(),
    detached: Type.Integer(),
    pinned: Type.Integer({ description: 'They stay' }),
    remaining: Type.Integer({ description: 'Cannot be detached now, and will be as soon as that is possible' }),
  },
  { title: 'SessionEndAnswer' },
);

export const SessionPage = pageOf('SessionPage', SessionView);

export const SessionsQuery = Type.Object({ ...optionalPageQuery }, strict);
