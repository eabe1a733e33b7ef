/** What the clients of the chaos runs do: attach and detach something, and keep in an {@link Oracle} what they were told. */
import assert from 'node:assert/strict';
import type { Prng } from '../../src/base/index.ts';
import type { Oracle, Wish } from './oracle.ts';

/** Attachments that one client has at once. */
export const HELD_MAX = 4;

const FUNCTIONS = ['tcp_set_state', 'vfs_read', 'do_mmap', 'schedule', 'bpf_modify_return_test', 'security_file_open'];

export const pick = <T>(random: Prng, all: readonly T[]): T => all[random.below(all.length)] as T;

export function anyBody(random: Prng): Wish['body'] {
  const target = pick(random, FUNCTIONS);
  switch (random.below(7)) {
    case 0:
      return { kind: 'kprobe', target };
    case 1:
      return { kind: 'kretprobe', target };
    case 2:
      return { kind: 'ftrace', target, options: { saveRegs: true } };
    case 3:
      return { kind: 'ftrace', target, options: { ipmodify: true } };
    case 4:
      return { kind: 'fexit', target };
    case 5:
      return { kind: 'livepatch', target };
    default:
      return { kind: 'fentry', target };
  }
}

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: {
    readonly id?: string;
    readonly items?: readonly { readonly id: string }[];
    readonly orphans?: readonly unknown[];
  };
}

export async function ask(address: string, client: string, method: string, path: string, wish?: Wish): Promise<Answer> {
  const response = await fetch(`${address}${path}`, {
    method,
    headers: {
      'x-ktextd-client': client,
      ...(wish === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': wish.key }),
    },
    ...(wish === undefined ? {} : { body: JSON.stringify(wish.body) }),
  });
  const body = (await response.json()) as Answer['body'];
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body };
}

/** Sends an attach; an answer that never comes leaves it unanswered. 503 says "not acknowledged" without saying what became of it. */
export async function send(address: string, oracle: Oracle, wish: Wish): Promise<Answer> {
  oracle.unansweredAttaches.add(wish);
  const answer = await ask(address, wish.client, 'POST', '/v1/attachments', wish);
  const { status, body } = answer;
  if (status === 503) return answer;
  assert.ok(status === 201 || (status >= 400 && status < 500), `${status} ${JSON.stringify(body)}`);
  oracle.attachAnswered(wish, status === 201 ? body.id : undefined);
  return answer;
}

export async function leave(address: string, oracle: Oracle, client: string, id: string): Promise<Answer> {
  oracle.unansweredDetaches.add(id);
  const answer = await ask(address, client, 'DELETE', `/v1/attachments/${id}`);
  const { status } = answer;
  if (status === 200 || status === 404) oracle.detachAnswered(id);
  else if (status !== 503) oracle.unansweredDetaches.delete(id);
  return answer;
}
