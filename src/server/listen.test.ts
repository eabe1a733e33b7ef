import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostNamesFor, isLoopback, parseListen } from './listen.ts';

test('addresses to listen on', () => {
  assert.deepEqual(parseListen('127.0.0.1:7700'), { kind: 'tcp', host: '127.0.0.1', port: 7700 });
  assert.deepEqual(parseListen('[::1]:0'), { kind: 'tcp', host: '::1', port: 0 });
  assert.deepEqual(parseListen('unix:/run/k.sock'), { kind: 'unix', path: '/run/k.sock' });
  for (const bad of [
    '',
    '7700',
    'localhost',
    'localhost:',
    'localhost:70000',
    'unix:',
    '::1:7700',
    'http://localhost:1',
  ]) {
    assert.equal(parseListen(bad), undefined, bad);
  }
});

test('what is loopback', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', '0:0:0:0:0:0:0:1', 'localhost'])
    assert.ok(isLoopback(host), host);
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '::10',
    '1::1',
    'localhost.example',
    '1270.0.0.1',
    '::ffff:1.2.3.4',
  ]) {
    assert.ok(!isLoopback(host), host);
  }
});

test('names that a Host header may have', () => {
  assert.deepEqual([...(hostNamesFor({ kind: 'tcp', host: '127.0.0.1', port: 1 }, ['K.example']) ?? [])].sort(), [
    '127.0.0.1',
    '::1',
    'k.example',
    'localhost',
  ]);
  assert.deepEqual([...(hostNamesFor({ kind: 'tcp', host: '10.1.2.3', port: 1 }, []) ?? [])], ['10.1.2.3']);
  assert.equal(hostNamesFor({ kind: 'unix', path: '/x' }, []), undefined);
});
