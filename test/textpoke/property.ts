import assert from 'node:assert/strict';
import fc from 'fast-check';

/**
 * Runs a property and, when it fails, prints one line that replays it. fast-check's own report is long and names no file.
 */
export async function check<T>(file: string, property: fc.IAsyncProperty<T>, numRuns: number): Promise<void> {
  const seed = process.env['PROPERTY_SEED'];
  const details = await fc.check(property, { numRuns, ...(seed === undefined ? {} : { seed: Number(seed) }) });
  if (!details.failed) return;
  const cause = details.errorInstance instanceof Error ? details.errorInstance.stack : details.errorInstance;
  assert.fail(
    `replay: PROPERTY_SEED=${details.seed} npx tsx scripts/test.ts ${file}\n` +
      `after ${details.numRuns} runs, shrunk to ${fc.stringify(details.counterexample)}\n${String(cause)}`,
  );
}
