import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../base/index.ts';
import type { Caller } from './service.ts';
import { TracePipe, tracePipeCalls } from './trace-pipe.ts';

const ANN: Caller = { client: 'a', tenant: 'ann', isAdmin: false, requestId: 'r1' };
const BEN: Caller = { ...ANN, client: 'b', tenant: 'ben' };
const text = (words: string) => ({
  text: words,
  attachment: 'att_1',
  program: undefined,
  cpu: 1,
  timeNs: 12_345_678_999n,
});

function lab() {
  const clock = new ManualClock(0);
  const traces = new TracePipe();
  return { clock, traces, calls: tracePipeCalls({ clock, traces }) };
}

async function read(pipe: Promise<{ readonly ok: boolean }>) {
  const answer = (await pipe) as Awaited<ReturnType<ReturnType<typeof tracePipeCalls>['tracePipe']>>;
  assert.ok(answer.ok);
  return { ...answer.value, lines: answer.value.lines.map((line) => line.text) };
}

describe('trace_pipe', () => {
  it('prints as the kernel does', async () => {
    const { traces, calls } = lab();
    traces.append('ann', [text('hello 42')]);
    const answer = await calls.tracePipe(ANN, {});
    assert.ok(answer.ok);
    assert.deepEqual(answer.value.lines, [
      {
        line: '          <idle>-0       [001] .....    12.345678: bpf_trace_printk: hello 42',
        text: 'hello 42',
        cpu: 1,
        timeNs: '12345678999',
        attachment: 'att_1',
        program: null,
      },
    ]);
  });

  it('keeps lines until they are taken, each tenant its own', async () => {
    const { traces, calls } = lab();
    traces.append('ann', ['1', '2', '3'].map(text));
    assert.deepEqual(await read(calls.tracePipe(BEN, {})), { lines: [], lost: 0, available: 0 });
    assert.deepEqual(await read(calls.tracePipe(ANN, { max: 2 })), { lines: ['1', '2'], lost: 0, available: 1 });
    assert.deepEqual(await read(calls.consumeTracePipe(ANN, { max: 2 })), { lines: ['1', '2'], lost: 0, available: 1 });
    assert.deepEqual(await read(calls.consumeTracePipe(ANN, {})), { lines: ['3'], lost: 0, available: 0 });
    assert.deepEqual(await read(calls.consumeTracePipe(ANN, {})), { lines: [], lost: 0, available: 0 });
  });

  it('loses the oldest lines when nobody reads, and says how many', async () => {
    const { traces, calls } = lab();
    for (let i = 0; i < 5_000; i++) traces.append('ann', [text(String(i))]);
    const first = await read(calls.consumeTracePipe(ANN, { max: 1 }));
    assert.deepEqual(first, { lines: ['904'], lost: 904, available: 4_095 });
    assert.equal((await read(calls.consumeTracePipe(ANN, { max: 1 }))).lost, 0);
  });

  it('waits for a first line, not longer than asked, and takes none for a caller who is gone', async () => {
    const { clock, traces, calls } = lab();
    const waits = read(calls.consumeTracePipe(ANN, { waitMs: 1_000 }));
    traces.append('ben', [text('not mine')]);
    traces.append('ann', [text('mine')]);
    assert.deepEqual((await waits).lines, ['mine']);
    const inVain = read(calls.consumeTracePipe(ANN, { waitMs: 1_000 }));
    clock.advance(1_000);
    assert.deepEqual((await inVain).lines, []);
    const gone = new AbortController();
    const left = read(calls.consumeTracePipe({ ...ANN, signal: gone.signal }, { waitMs: 1_000 }));
    gone.abort();
    traces.append('ann', [text('kept')]);
    await left;
    assert.deepEqual((await read(calls.consumeTracePipe(ANN, {}))).lines, ['kept']);
  });
});
