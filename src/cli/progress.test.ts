import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EventQuery } from '../client/index.ts';
import type { Context } from './context.ts';
import { withProgress } from './progress.ts';

const frame = (done: number) => ({
  id: undefined,
  type: 'progress',
  data: { client: 'agent', command: 'attach ftrace', what: 'updating records', done, total: 512 },
});

/** A service that tells twice how far it is, and then nothing more until nobody listens. */
function terminal(isTerminal: boolean) {
  const written: string[] = [];
  const asked: (readonly string[] | undefined)[] = [];
  let told: () => void = () => undefined;
  const hasTold = new Promise<void>((resolve) => {
    told = resolve;
  });
  async function* events(signal: AbortSignal | undefined) {
    yield frame(256);
    yield frame(512);
    told();
    await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))));
  }
  const client = {
    events: ({ types, signal }: EventQuery) => {
      asked.push(types);
      return Promise.resolve({ ok: true, value: events(signal) });
    },
  };
  const io = { out: () => undefined, err: (text: string) => written.push(text), env: {}, isTerminal };
  return { context: { client, io } as unknown as Context, written, asked, hasTold };
}

describe('waiting for a command', () => {
  it('shows on a terminal how far it is, and nothing of it is left behind', async () => {
    const { context, written, asked, hasTold } = terminal(true);
    assert.equal(await withProgress(context, () => hasTold.then(() => 'done')), 'done');
    assert.deepEqual(asked, [['progress']]);
    assert.deepEqual(written, [
      '\r\x1b[Kagent: attach ftrace, updating records, 256 of 512',
      '\r\x1b[Kagent: attach ftrace, updating records, 512 of 512',
      '\r\x1b[K',
    ]);
  });

  it('asks for nothing where nobody looks', async () => {
    const { context, written, asked } = terminal(false);
    assert.equal(await withProgress(context, () => Promise.resolve('done')), 'done');
    assert.deepEqual([asked, written], [[], []]);
  });

  it('answers as the command does when it fails', async () => {
    const { context, written, hasTold } = terminal(true);
    const failing = withProgress(context, () => hasTold.then(() => Promise.reject(new Error('gone'))));
    await assert.rejects(failing, /gone/);
    assert.equal(written.at(-1), '\r\x1b[K');
  });
});
