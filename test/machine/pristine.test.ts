/**
 * Goal: functions of the built-in kernel answer what they should, and a call leaves nothing behind. Method: calls in process, on pristine text.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallArgument, CallOutcome } from '../../src/machine/index.ts';
import { buffer, labOf, text, word } from '../support/call-lab.ts';
import { builtinImage } from '../support/images.ts';

const call = async (name: string, ...args: readonly CallArgument[]): Promise<CallOutcome> =>
  (await labOf(await builtinImage())).call(name, args);

function returned({ end }: CallOutcome): bigint {
  assert.equal(
    end.kind,
    'returned',
    JSON.stringify(end, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
  );
  return end.kind === 'returned' ? end.value : 0n;
}

const hexOf = (outcome: CallOutcome, arg: number): string =>
  Buffer.from(outcome.buffers.find((each) => each.arg === arg)?.bytes ?? []).toString('hex');

describe('calls of a pristine kernel', () => {
  it('answers what the function returns, and shows what it wrote', async () => {
    assert.equal(returned(await call('strlen', text('hello'))), 5n);
    const modified = await call('bpf_modify_return_test', word(1), buffer('02000000'));
    assert.equal(returned(modified), 4n);
    assert.equal(hexOf(modified, 1), '03000000');
    const copied = await call('memcpy', buffer('0000000000'), buffer('0102030405'), word(5));
    assert.equal(hexOf(copied, 0), '0102030405');
  });

  it('passes the seventh argument and those behind it on the stack', async () => {
    const outcome = await call(
      'bpf_modify_return_test2',
      ...[1, 0, 3, 4, 5, 6, 7].map((n, i) => (i === 1 ? buffer('02000000') : word(n))),
    );
    assert.equal(returned(outcome), 29n);
  });

  it('leaves nothing behind', async () => {
    await call('tcp_set_state', buffer('00'.repeat(512)), word(7));
    const first = await call('bpf_modify_return_test', word(1), buffer('02000000'));
    const second = await call('bpf_modify_return_test', word(1), buffer('02000000'));
    assert.deepEqual(second, first);
  });

  it('answers a fault with where and why', async () => {
    const { end } = await call('strlen', word(0));
    assert.ok(end.kind === 'fault');
    assert.equal(end.fault.name, '#PF');
    assert.equal(end.fault.address, 0n);
    assert.match(end.fault.detail, /read of memory that is not mapped/);
    const at = Number(end.fault.rip - end.fault.bytesAt);
    assert.ok(end.fault.bytes.length > at && at >= 0);
  });

  it('refuses to write to constants and to text', async () => {
    const { world } = await labOf(await builtinImage());
    const target = world.image.symbols.byName('__start_rodata')[0]?.address as bigint;
    const { end } = await call('memcpy', word(target), buffer('01'), word(1));
    assert.ok(end.kind === 'fault' && end.fault.detail === 'write of memory that is read-only');
    const inText = await call('memcpy', word(world.image.base), buffer('01'), word(1));
    assert.ok(inText.end.kind === 'fault' && /kernel text/.test(inText.end.fault.detail));
  });

  it('stops at its budget', async () => {
    const lab = await labOf(await builtinImage());
    const { end, instructions } = lab.call('strlen', [text('a long string indeed')], { maxInstructions: 10 });
    assert.deepEqual(end, { kind: 'budget', exceeded: 'instructions' });
    assert.equal(instructions, 10);
  });

  it('does not run what boot freed', async () => {
    const { end } = await call('start_kernel');
    assert.ok(end.kind === 'fault' && end.fault.detail === 'fetch of memory that is not mapped');
  });
});
