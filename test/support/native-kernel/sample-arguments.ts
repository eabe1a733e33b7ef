import type { Prng } from '../../../src/base/index.ts';
import type { BtfFunctions, FunctionPrototype } from '../../../src/image/index.ts';
import type { CallArgument } from '../../../src/machine/index.ts';

/** Room behind every pointer, whatever it points to: functions write more than one element. */
const ROOM_MIN = 512;
const ROOM_MAX = 1 << 14;
const WORDS = [0n, 1n, 2n, 3n, 5n, 8n, 16n, 31n, 63n, 64n, 255n, 4096n, 0xffffn, 0x7fff_ffffn, -1n, -22n];
const TEXTS = ['', 'a', 'hello, world', '0x1f', '-42', '1,3-5', 'tcp_set_state', '  padded  ', '10.0.0.1', 'key=value'];

function pointed(random: Prng, isText: boolean, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(Math.max(size, ROOM_MIN), ROOM_MAX));
  if (isText) bytes.set(Buffer.from(TEXTS[random.below(TEXTS.length)] ?? '', 'latin1'));
  // Small numbers, which are lengths, counts and states wherever they end up; never an address.
  else for (let at = 0; at < bytes.length; at += 4) bytes[at] = random.below(3) === 0 ? random.below(40) : 0;
  return bytes;
}

/**
 * Arguments for a function by its prototype; undefined where one is a struct by value or there is no telling how many.
 *
 * @param random undefined: those of `sample: true`, zeroed memory for pointers and its position for everything else
 */
export function sampleArguments(
  btf: BtfFunctions,
  name: string,
  prototype: FunctionPrototype,
  random: Prng | undefined,
): readonly CallArgument[] | undefined {
  const pointees = btf.pointees(name);
  const { params, isVariadic } = prototype;
  if (pointees === undefined || isVariadic || params.length > 10) return undefined;
  if (params.some(({ kind }) => kind === 'struct' || kind === 'union' || kind === 'float')) return undefined;
  return params.map(({ kind }, i): CallArgument => {
    const pointee = pointees[i];
    if (pointee !== undefined) {
      const isText = pointee.kind === 'int' && pointee.size === 1;
      if (random !== undefined) return { kind: 'buffer', bytes: pointed(random, isText, pointee.size) };
      return { kind: 'buffer', bytes: new Uint8Array(Math.min(Math.max(pointee.size, 64), ROOM_MAX)) };
    }
    if (random === undefined) return { kind: 'word', value: BigInt(i) };
    const value = kind === 'bool' ? BigInt(random.below(2)) : (WORDS[random.below(WORDS.length)] ?? 0n);
    return { kind: 'word', value: BigInt.asUintN(64, value) };
  });
}
