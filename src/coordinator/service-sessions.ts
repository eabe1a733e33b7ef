/** What the coordinator offers about sessions; a part of service.ts. */
import type { Fault, Result } from '../base/index.ts';
import type { AttachmentView, Caller, Page, PageRequest } from './service.ts';

/** A session as anybody may see it. */
export interface SessionView {
  /** Names it in events and answers; gives no right. */
  readonly session: string;
  readonly client: string;
  /** ISO 8601. */
  readonly since: string;
  readonly ttlMs: number;
  readonly expiresAt: string;
  readonly attachments: number;
}

/** What the one who opened it is told: the secret is nowhere else. */
export interface SessionAnswer extends SessionView {
  readonly id: string;
}

export interface SessionEndAnswer {
  readonly session: string;
  readonly detached: number;
  readonly pinned: number;
  /** Cannot be detached now, and will be as soon as that is possible. */
  readonly remaining: number;
}

export interface SessionCalls {
  openSession(
    caller: Caller,
    request: { readonly client?: string; readonly ttlMs: number },
  ): Promise<Result<SessionAnswer>>;
  /** Starts its time to live anew. */
  heartbeat(caller: Caller, secret: string): Result<SessionView>;
  endSession(caller: Caller, secret: string): Promise<Result<SessionEndAnswer>>;
  /** Why a request may not name this session; undefined: it may. */
  refuseSession(caller: Caller, secret: string): Fault | undefined;
  sessions(query: PageRequest): Result<Page<SessionView>>;
  /** Pins an attachment, or gives it to the session of the request, which it then ends with. */
  pin(caller: Caller, id: string, pinned: boolean): Promise<Result<AttachmentView>>;
}
