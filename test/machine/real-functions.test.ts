/**
 * Goal: functions of the recorded kernels answer what they are known to answer: their documentation, a published check value, or C's own rules say
 * it. Method: calls in process, on pristine text. What the real CPU answers is compared in real-cpu.test.ts.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallArgument, CallOutcome } from '../../src/machine/index.ts';
import { buffer, type CallLab, labOf, text, word } from '../support/call-lab.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';

const u32s = (...values: readonly number[]): CallArgument => {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, i * 4);
  return { kind: 'buffer', bytes };
};

const zeroes = (length: number): CallArgument => buffer('00'.repeat(length));

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `0x${each.toString(16)}` : each));

function returned({ end }: CallOutcome): bigint {
  assert.equal(end.kind, 'returned', shown(end));
  return end.kind === 'returned' ? end.value : 0n;
}

const bytesOf = ({ buffers }: CallOutcome, arg: number): Buffer =>
  Buffer.from(buffers.find((each) => each.arg === arg)?.bytes ?? []);

const stringOf = (outcome: CallOutcome, arg: number): string =>
  bytesOf(outcome, arg).toString('latin1').split('\0')[0] ?? '';

/** Low 32 bits, as a function of type int or u32 answers. */
const low = (value: bigint): bigint => BigInt.asUintN(32, value);

for (const kernel of [RECORDED_6_12, RECORDED_6_1]) {
  const { path, skip } = realKernel(kernel);

  describe(`functions of ${kernel}`, { skip }, () => {
    const lab = async (): Promise<CallLab> => labOf(await kernelImage(path));
    const call = async (name: string, ...args: readonly CallArgument[]): Promise<CallOutcome> =>
      (await lab()).call(name, args);
    const address = async (name: string): Promise<CallArgument> => {
      const [symbol] = (await lab()).world.image.symbols.byName(name);
      assert.ok(symbol, name);
      return word(symbol.address);
    };

    it('arithmetic', async () => {
      assert.equal(returned(await call('gcd', word(48), word(36))), 12n);
      assert.equal(returned(await call('lcm', word(21), word(6))), 42n);
      for (const [square, root] of [
        [0, 0],
        [99, 9],
        [1_000_000, 1000],
        [2 ** 32 - 1, 65_535],
      ] as const)
        assert.equal(returned(await call('int_sqrt', word(square))), BigInt(root));
      assert.equal(returned(await call('int_pow', word(3), word(13))), 3n ** 13n);
      assert.equal(low(returned(await call('__sw_hweight32', word(0xf0f0_1234)))), 13n);
      assert.equal(returned(await call('__sw_hweight64', word(0xf0f0_1234_8000_0001n))), 15n);
    });

    it('checksums: the published check values of "123456789"', async () => {
      const digits = [text('123456789'), word(9)] as const;
      assert.equal(low(returned(await call('crc32_le', word(0xffff_ffff), ...digits))) ^ 0xffff_ffffn, 0xcbf4_3926n);
      assert.equal(low(returned(await call('__crc32c_le', word(0xffff_ffff), ...digits))) ^ 0xffff_ffffn, 0xe306_9283n);
      assert.equal(low(returned(await call('crc32_be', word(0xffff_ffff), ...digits))) ^ 0xffff_ffffn, 0xfc89_1918n);
      assert.equal(low(returned(await call('crc16', word(0), ...digits))), 0xbb3dn);
    });

    it('strings and memory', async () => {
      assert.equal(returned(await call('strlen', text('hello world'))), 11n);
      assert.equal(returned(await call('strcmp', text('abc'), text('abd'))), 0xffff_ffffn);
      const copied = await call('memcpy', zeroes(37), buffer('5a'.repeat(37)), word(37));
      assert.equal(bytesOf(copied, 0).toString('hex'), '5a'.repeat(37));
      assert.equal(returned(copied), copied.buffers[0]?.address);
      const set = await call('memset', zeroes(300), word(0x41), word(299));
      assert.equal(bytesOf(set, 0).toString('latin1'), `${'A'.repeat(299)}\0`);
      assert.equal(low(returned(await call('memcmp', text('same'), text('same'), word(5)))), 0n);
    });

    it('sorting and searching with a comparison function of the kernel', async () => {
      const compare = await address('gid_cmp');
      const sorted = await call('sort', u32s(5, 3, 9, 1, 7, 3), word(6), word(4), compare, word(0));
      returned(sorted);
      assert.deepEqual(bytesOf(sorted, 0), Buffer.from(new Uint32Array([1, 3, 3, 5, 7, 9]).buffer));
      const found = await call('bsearch', u32s(7), u32s(1, 3, 5, 7, 9), word(5), word(4), compare);
      assert.equal(returned(found), (found.buffers[1]?.address ?? 0n) + 12n);
      assert.equal(returned(await call('bsearch', u32s(8), u32s(1, 3, 5, 7, 9), word(5), word(4), compare)), 0n);
    });

    it('formatted text: snprintf and what is built on it', async () => {
      const format = text('%d|%s|%#lx|%5u|%-4d|%02x|%c');
      const args = [-42, 0, 0xdead_beef, 7, 12].map(word);
      args[1] = text('abc');
      const outcome = await call('snprintf', zeroes(64), word(64), format, ...args, word(5), word(0x7a));
      const want = '-42|abc|0xdeadbeef|    7|12  |05|z';
      assert.equal(stringOf(outcome, 0), want);
      assert.equal(returned(outcome), BigInt(want.length));
      const short = await call('scnprintf', zeroes(8), word(8), text('%s'), text('longer than that'));
      assert.deepEqual([stringOf(short, 0), returned(short)], ['longer ', 7n]);
      const symbolic = await call('sprintf', zeroes(96), text('%pS %pB'), await address('gcd'), await address('gcd'));
      assert.match(stringOf(symbolic, 0), /^gcd\+0x0\/0x[0-9a-f]+ /);
      const mac = await call('sprintf', zeroes(96), text('%pM %pI4'), buffer('001122aabbcc'), buffer('0a000001'));
      assert.equal(stringOf(mac, 0), '00:11:22:aa:bb:cc 10.0.0.1');
    });

    it('numbers out of text', async () => {
      const parsed = await call('kstrtoull', text('0x1f\n'), word(0), zeroes(8));
      assert.deepEqual([low(returned(parsed)), bytesOf(parsed, 2).readBigUInt64LE()], [0n, 0x1fn]);
      const bad = await call('kstrtoull', text('12x'), word(10), zeroes(8));
      assert.equal(low(returned(bad)), BigInt.asUintN(32, -22n));
    });

    it('printk writes into its ring buffer and returns the length', async () => {
      assert.equal(low(returned(await call('_printk', text('state %d\n'), word(3)))), 7n);
    });
  });
}
