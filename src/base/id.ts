import type { Clock } from './clock.ts';
import type { Prng } from './prng.ts';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * Makes ids like `att_01k8x3…`: a prefix and a ULID (48 bits of time, 80 random bits, Crockford base 32, lower case), so that ids sort by age.
 */
export function idMaker(clock: Clock, random: Prng): (prefix: string) => string {
  return (prefix) => {
    let time = clock.now();
    let head = '';
    for (let i = 0; i < 10; i++) {
      head = CROCKFORD.charAt(time % 32) + head;
      time = Math.floor(time / 32);
    }
    let tail = '';
    for (let i = 0; i < 16; i++) tail += CROCKFORD.charAt(random.below(32));
    return `${prefix}_${head}${tail}`;
  };
}
