/** The past, and who changed a byte, for tests of the edge. */
import { err, ok } from '../../src/base/index.ts';
import type { Coordinator } from '../../src/coordinator/index.ts';

const ADDRESS = '0xffffffff81a3c4d0';

export const fakePast: Pick<Coordinator, 'readsAt' | 'blame'> = {
  readsAt: async () => err({ errno: 'EOPNOTSUPP', rule: 'history.unavailable', detail: 'Nothing is kept.' }),
  blame: (place, length) =>
    ok({
      address: ADDRESS,
      length,
      runs: [{ address: ADDRESS, place, current: '90'.repeat(length), original: '90'.repeat(length), poke: null }],
      forgotten: 0,
    }),
};
