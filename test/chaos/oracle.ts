/** What clients were told, and what must therefore be there after a crash. */
import assert from 'node:assert/strict';

export interface Wish {
  /** Idempotency-Key: repeating it after a crash must not attach twice. */
  readonly key: string;
  readonly client: string;
  readonly body: {
    readonly kind: string;
    readonly target: string;
    readonly options?: Readonly<Record<string, unknown>>;
  };
}

/** Acknowledged attachments by id, and requests whose answer never came. */
export class Oracle {
  /** Told 201, and not told that they are gone. */
  readonly attached = new Map<string, Wish>();
  /** Told 200 for a detach. */
  readonly gone = new Set<string>();
  readonly unansweredAttaches = new Set<Wish>();
  /** Ids whose detach was never answered. */
  readonly unansweredDetaches = new Set<string>();
  acknowledged = 0;

  attachAnswered(wish: Wish, id: string | undefined): void {
    this.unansweredAttaches.delete(wish);
    if (id === undefined) return;
    this.acknowledged += 1;
    this.attached.set(id, wish);
  }

  detachAnswered(id: string): void {
    this.unansweredDetaches.delete(id);
    this.attached.delete(id);
    this.gone.add(id);
    this.acknowledged += 1;
  }

  /** Compares with what a restarted service lists, once every unanswered request has been repeated and answered. */
  check(listed: readonly { readonly id: string }[]): void {
    assert.equal(this.unansweredAttaches.size, 0, 'repeat the unanswered requests first');
    const ids = new Set(listed.map(({ id }) => id));
    for (const [id, wish] of this.attached)
      assert.ok(ids.has(id), `acknowledged and lost: ${id}, ${JSON.stringify(wish)}`);
    for (const id of ids) {
      assert.ok(!this.gone.has(id), `acknowledged as detached and there again: ${id}`);
      assert.ok(this.attached.has(id), `nobody was told of ${id}: attached twice, or half`);
    }
  }
}
