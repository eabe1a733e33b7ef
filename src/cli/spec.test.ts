import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOption, parseSpec } from './spec.ts';
import { renderUsage, UsageError } from './usage.ts';

test('what bpftrace users type', () => {
  const cases: readonly [string, unknown][] = [
    ['kprobe:tcp_set_state+0x10', { kind: 'kprobe', target: 'tcp_set_state+0x10' }],
    ['kprobe:tcp_set_state+16', { kind: 'kprobe', target: 'tcp_set_state+0x10' }],
    ['kprobe:0xffffffff81000000', { kind: 'kprobe', target: '0xffffffff81000000' }],
    ['k:tcp_close', { kind: 'kprobe', target: 'tcp_close' }],
    ['fentry:tcp_set_state', { kind: 'fentry', target: 'tcp_set_state' }],
    ['fentry:vmlinux:tcp_set_state', { kind: 'fentry', target: 'tcp_set_state' }],
    ['fentry:nf_tables:nft_do_chain', { kind: 'fentry', target: 'nf_tables:nft_do_chain' }],
    ['livepatch:a:b,c', { kind: 'livepatch', target: ['a:b', 'c'] }],
    ['kretfunc:tcp_close', { kind: 'fexit', target: 'tcp_close' }],
    ['kprobe_multi:tcp_*', { kind: 'kprobe_multi', target: { pattern: 'tcp_*' } }],
    ['ftrace:tcp_close,tcp_sendmsg', { kind: 'ftrace', target: ['tcp_close', 'tcp_sendmsg'] }],
    ['kprobe:foo.constprop.0+0x4', { kind: 'kprobe', target: 'foo.constprop.0+0x4' }],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(parseSpec(spec), expected, spec);
});

test('what cannot be understood is shown with a caret at its column', () => {
  const cases: readonly [string, number, RegExp][] = [
    ['tcp_close', 9, /KIND:PLACE/],
    ['kprob:tcp_close', 0, /unknown kind "kprob"/],
    ['kprobe:', 7, /missing/],
    ['kprobe:tcp close', 10, /a place is/],
    ['kprobe:tcp_close+zz', 16, /a place is/],
    ['kprobe:tcp_*', 11, /use kprobe_multi/],
    ['fentry:tcp_*', 11, /takes no pattern/],
    ['fentry:a,b', 8, /takes one place/],
    ['ftrace:a,,b', 9, /missing/],
    ['ftrace:a,', 9, /missing/],
    ['ftrace:tcp_[ab]*', 11, /only \* and \?/],
    ['ftrace:nf_tables:nft_*', 16, /only \* and \?/],
    ['fentry:nf tables:nft_do_chain', 9, /MODULE:SYMBOL/],
  ];
  for (const [spec, column, message] of cases) {
    assert.throws(
      () => parseSpec(spec),
      (error) => error instanceof UsageError && error.column === column && message.test(error.message),
      spec,
    );
  }
  assert.equal(renderUsage(new UsageError('bad', 'abc', 2)), 'ktextd: bad\n  abc\n    ^\n');
});

test('options', () => {
  assert.deepEqual(parseOption('saveRegs'), ['saveRegs', true]);
  assert.deepEqual(parseOption('saveRegs=false'), ['saveRegs', false]);
  assert.deepEqual(parseOption('maxActive=16'), ['maxActive', 16]);
  assert.deepEqual(parseOption('via=perf'), ['via', 'perf']);
  assert.deepEqual(parseOption('cookie=0x10'), ['cookie', '0x10']);
  assert.throws(() => parseOption('=x'), UsageError);
  assert.throws(() => parseOption('a-b=x'), UsageError);
});
