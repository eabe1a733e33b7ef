import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Coordinator, ServiceEvent } from '../coordinator/index.ts';
import { createLogger, logTransitions, roomLogger } from './logging.ts';

function capture(level: 'info' | 'debug') {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger(level, {
    write: (text: string) => void lines.push(JSON.parse(text) as Record<string, unknown>),
  });
  return { lines, log };
}

test('secrets are redacted wherever they are', () => {
  const { lines, log } = capture('info');
  const token = 'very-secret';
  roomLogger(log, 'server').info(
    { token, nested: { token, authorization: token }, req: { headers: { authorization: token } }, session: token },
    'x',
  );
  assert.doesNotMatch(JSON.stringify(lines), /very-secret/);
  assert.equal(lines[0]?.['room'], 'server');
});

test('transitions are logged with chosen fields, pokes only at debug', () => {
  for (const [level, expected] of [
    ['info', ['attached', 'quarantined']],
    ['debug', ['attached', 'poke', 'quarantined']],
  ] as const) {
    const { lines, log } = capture(level);
    let listener: (event: ServiceEvent) => void = () => {};
    const source: Pick<Coordinator, 'onEvent'> = {
      onEvent(given) {
        listener = given;
        return () => {};
      },
    };
    logTransitions(log, source);
    const time = '2026-01-01T00:00:00.000Z';
    listener({ sequence: 1, time, type: 'attached', data: { attachment: 'att_1', kind: 'fentry', bytes: 'e8' } });
    listener({ sequence: 2, time, type: 'poke', data: { reason: 'r' } });
    listener({ sequence: 3, time, type: 'quarantined', data: { places: ['f+0x4'] } });
    assert.deepEqual(
      lines.map((l) => l['msg']),
      expected,
    );
    assert.equal(lines[0]?.['attachment'], 'att_1');
    assert.ok(!('bytes' in (lines[0] ?? {})));
    assert.equal(lines.at(-1)?.['level'], 50);
  }
});
