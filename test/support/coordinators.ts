import { ManualClock, seededPrng } from '../../src/base/index.ts';
import { type Caller, type Coordinator, createCoordinator, type Strictness } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';

/** A coordinator whose clock stands still, or is moved by the test, and whose ids follow from `seed`. */
export function testCoordinator(
  image: KernelImage,
  strictness: Strictness,
  seed = 1,
  clock = new ManualClock(),
): Coordinator {
  return createCoordinator({ image, strictness, clock, prng: seededPrng(seed) });
}

export const caller = (client = 'test', options: Partial<Caller> = {}): Caller => ({
  client,
  tenant: 'default',
  isAdmin: false,
  requestId: 'req_test',
  ...options,
});
