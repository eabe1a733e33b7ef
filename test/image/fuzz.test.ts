import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import test from 'node:test';
import { unwrapKernel } from '../../src/image/unwrap.ts';
import { allKernels } from '../support/kernels.ts';
import { type Base, fuzzImage, hotRanges, readHostile } from './fuzz.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? 20261122);

test('damaged synthetic kernels give an image or one line of refusal', async () => {
  await fuzzImage({ seed: SEED, runs: 400 });
});

test('random bytes behind every magic are refused', async () => {
  const magics = [
    '7f454c46020101',
    '28b52ffd',
    '1f8b08',
    '02214c18',
    'fd377a585a00',
    '425a68',
    '5d0000',
    '894c5a4f',
    '',
  ];
  let state = SEED >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  for (const magic of magics) {
    for (const length of [0, 1, 16, 63, 64, 4096]) {
      await readHostile(Uint8Array.from([...Buffer.from(magic, 'hex'), ...Array.from({ length }, random)]));
    }
  }
});

test('canary: a target that fails is reported with the line that replays it', async () => {
  const fragile = async (file: Uint8Array): Promise<void> => {
    if (file.length < 20_000) throw new Error('the canary sings');
  };
  await assert.rejects(fuzzImage({ seed: 7, runs: 300, target: fragile }), (error: Error) => {
    const [first, second] = error.message.split('\n');
    assert.equal(first, 'npm run fuzz -- image 7 300');
    assert.match(second ?? '', /the canary sings$/);
    return true;
  });
  let calls = 0;
  await fuzzImage({ seed: 7, runs: 30, target: async () => void calls++ });
  assert.equal(calls, 30, 'every run reaches the target');
});

for (const path of allKernels()) {
  test(`damaged ${basename(path)} gives an image or one line of refusal`, { timeout: 120_000 }, async () => {
    const file = readFileSync(path);
    const unwrapped = await unwrapKernel(file);
    assert.ok(unwrapped.ok);
    const { elf } = unwrapped.value;
    const bases: readonly Base[] = [
      { name: 'inside', elf, wrap: (bytes) => bytes, hot: hotRanges(elf) },
      {
        name: 'outside',
        elf: file,
        wrap: (bytes) => bytes,
        hot: [
          [0x1f0, 0x260],
          [0x5000, 0x5100],
        ],
      },
    ];
    await fuzzImage({
      seed: SEED,
      runs: 6,
      bases,
      replay: `FUZZ_SEED=${SEED} npx tsx scripts/test.ts test/image/fuzz.test.ts`,
    });
  });
}
