/** Damaged objects, a short round of the fuzzer. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { ObjectKernel } from '../../src/jit/index.ts';
import { fuzzImage } from '../image/fuzz.ts';
import { objectKernel } from '../support/bpf-objects.ts';
import { builtinImage } from '../support/images.ts';
import { OBJECT_BASES as bases, objectReplay, readHostile } from './fuzz/object.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? 20261125);
const RUNS = Number(process.env['KTEXTD_RUNS'] ?? 4_000);
const REPLAY = objectReplay({ seed: SEED, runs: RUNS });

describe('damaged objects', () => {
  let kernel: ObjectKernel;
  before(async () => {
    kernel = objectKernel(await builtinImage());
  });

  it('give programs or a place', async () => {
    const outcomes = { linked: 0, refused: 0 };
    const target = async (file: Uint8Array): Promise<void> => readHostile(file, kernel, outcomes);
    await fuzzImage({ seed: SEED, runs: RUNS, bases, target, replay: REPLAY });
    // Neither everything passes nor everything ends at the first header.
    assert.ok(outcomes.linked > RUNS / 2 && outcomes.refused > RUNS / 2, JSON.stringify(outcomes));
  });

  it('canary: what fails is reported with the line that replays it', async () => {
    const target = async (file: Uint8Array): Promise<void> => {
      if (file.length < 3_000) throw new Error('the canary sings');
    };
    await assert.rejects(fuzzImage({ seed: SEED, runs: RUNS, bases, target, replay: REPLAY }), (error: Error) => {
      assert.equal(error.message.split('\n')[0], REPLAY);
      return true;
    });
  });
});
