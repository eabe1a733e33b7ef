/**
 * Goal: functions of the recorded kernels answer on the simulated CPU what they answer on the real one, and the same with everything attached that
 * they take. Method: pristine text and data, changed where the kernel's own relocations say, lie below 2 GiB in a child process; the result and every
 * page that was written are equal to the bit. Functions are a seeded sample of all that have a prototype, called with sample arguments.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng } from '../../src/base/index.ts';
import { text, word } from '../support/call-lab.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { ComparedFunctions } from '../support/native-kernel/functions.ts';
import { nativeUnavailable } from '../support/native-process/native-process.ts';
import { knownCalls } from './known-calls.ts';

/** One of so many functions. */
const STRIDE = Number(process.env['FUNCTIONS_STRIDE'] ?? 75);
const SEED = Number(process.env['FUNCTIONS_SEED'] ?? 20_251_125);
const EQUAL_MIN = 200;

class Tally {
  readonly counts = new Map<string, number>();
  add(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
  toString(): string {
    const sorted = [...this.counts].sort((a, b) => b[1] - a[1]);
    return sorted.map(([what, count]) => `${count} ${what}`).join('; ');
  }
}

for (const kernel of [RECORDED_6_12, RECORDED_6_1]) {
  const { path, skip } = realKernel(kernel);
  const why = nativeUnavailable() ?? skip;

  describe(`functions of ${kernel} on the real CPU`, { skip: why ?? false }, () => {
    let functions: ComparedFunctions;
    before(async () => {
      functions = await ComparedFunctions.of(await kernelImage(path));
    });
    after(() => functions.close());

    it('known ones, with arguments that mean something', async (t) => {
      const tally = new Tally();
      for (const [name, ...args] of knownCalls(functions.image)) {
        const verdict = await functions.compare(name, args, functions.image.btf?.prototype(name));
        assert.notEqual(verdict.kind, 'different', `${name}: ${'detail' in verdict ? verdict.detail : ''}`);
        tally.add('reason' in verdict ? `${verdict.reason} (${name})` : 'equal');
      }
      t.diagnostic(`calls: ${tally}`);
      assert.ok((tally.counts.get('equal') ?? 0) >= 45, `${tally}`);
    });

    it(`a sample (FUNCTIONS_SEED=${SEED} FUNCTIONS_STRIDE=${STRIDE})`, async (t) => {
      const random = seededPrng(SEED);
      const equal = new Set<string>();
      const onlyNative = new Set<string>();
      const misses = new Tally();
      let called = 0;
      let calls = 0;
      for (const { name, prototype } of functions.sample(SEED, STRIDE)) {
        called += 1;
        for (const randomness of [undefined, random]) {
          const args = functions.arguments(name, prototype, randomness);
          const verdict =
            args === undefined
              ? { kind: 'not-compared' as const, reason: 'takes what there is no sample of' }
              : await functions.compare(name, args, prototype);
          assert.notEqual(verdict.kind, 'different', `${name}: ${'detail' in verdict ? verdict.detail : ''}`);
          if (verdict.kind === 'equal') {
            calls += 1;
            equal.add(name);
          } else if ('reason' in verdict) misses.add(verdict.reason);
          if (verdict.kind === 'only-native') onlyNative.add(name);
        }
      }
      t.diagnostic(`${equal.size} of ${called} functions equal, pristine, attached and native, in ${calls} calls`);
      t.diagnostic(`${onlyNative.size} more equal to the real CPU; calls not compared: ${misses}`);
      assert.ok(equal.size >= EQUAL_MIN * (75 / STRIDE), `${equal.size} equal of ${called}: ${misses}`);
    });

    it('canaries: a wrong result and a wrong byte in memory are found', async () => {
      functions.mistake('crc16_table', 0x31 * 2, Uint8Array.of(0x11));
      const result = await functions.compare('crc16', [word(0), text('1'), word(1)]);
      assert.match('detail' in result ? result.detail : '', /^returned 0x[0-9a-f]+, really 0x[0-9a-f]+$/);
      functions.mistake('hex_asc', 0xa, Buffer.from('!'));
      const memory = await functions.compare('bin2hex', [text('.'.repeat(32)), text('\xaa'), word(1)]);
      assert.match('detail' in memory ? memory.detail : '', /^at 0x[0-9a-f]+ is 0x\w+, really 0x\w+$/);
    });
  });
}
