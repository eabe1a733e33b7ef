import assert from 'node:assert/strict';
import type { Result } from '../../src/base/index.ts';

/** The value of a result that has one; a refusal fails the test with what it says. */
export function value<T>(result: Result<T>): T {
  if (!result.ok) assert.fail(JSON.stringify(result.fault));
  return result.value;
}
