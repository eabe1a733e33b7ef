/** Answers of the fake coordinator that never change. */
import type { KernelsView, TextMutexView } from '../../src/coordinator/index.ts';

export const TEXT_MUTEX: TextMutexView = {
  holder: null,
  heldSinceMs: null,
  waiting: [],
  acquisitions: 7,
  waitMs: { p50: 1, p99: 2 },
  holdMs: { p50: 3, p99: 4 },
};

export const KERNELS: KernelsView = { image: '6.12.0-fake', rules: '6.12', versions: [], facts: [] };
