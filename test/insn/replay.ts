import fc from 'fast-check';

/**
 * Parameters for `fc.assert`: the seed comes from KTEXTD_SEED when that is set, and a failure ends in one line that runs it again.
 * @param file the test's path from the repository's root
 */
export function replayable<T>(file: string, numRuns: number): fc.Parameters<T> {
  const seed = process.env['KTEXTD_SEED'];
  return {
    numRuns,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    reporter(details) {
      if (!details.failed) return;
      const replay = `KTEXTD_SEED=${details.seed} npx tsx scripts/test.ts ${file}`;
      throw new Error(`${fc.defaultReportMessage(details)}\nreplay: ${replay}`);
    },
  };
}
