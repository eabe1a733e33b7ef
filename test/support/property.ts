import assert from 'node:assert/strict';
import fc from 'fast-check';

/** `KTEXTD_RUNS=20000` makes every property run that often; undefined: as often as the test says. */
const forcedRuns = (): number | undefined => {
  const runs = process.env['KTEXTD_RUNS'];
  return runs === undefined ? undefined : Number(runs);
};

/**
 * Runs a property. When it fails, the first line replays the failing case: `PROPERTY_SEED` is the seed, `PROPERTY_PATH` the shrunk case.
 */
export async function checkProperty<T>(
  file: string,
  property: fc.IAsyncPropertyWithHooks<T>,
  numRuns: number,
): Promise<number> {
  const { PROPERTY_SEED: seed, PROPERTY_PATH: path } = process.env;
  const details = await fc.check(property, {
    numRuns: forcedRuns() ?? numRuns,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path }),
  });
  if (!details.failed) return details.numRuns;
  const cause = details.errorInstance instanceof Error ? details.errorInstance.stack : details.errorInstance;
  assert.fail(
    `replay: PROPERTY_SEED=${details.seed} PROPERTY_PATH=${details.counterexamplePath} npx tsx scripts/test.ts ${file}\n` +
      `after ${details.numRuns} runs, shrunk to ${fc.stringify(details.counterexample)}\n${String(cause)}`,
  );
}
