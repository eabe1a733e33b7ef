/**
 * Fuzzing of the kernel reader: files that are nearly kernels go in, and out must come either an image all of whose parts can be asked, or one line
 * that names what is wrong; within bounds of time and memory; never an exception.
 */
import fc from 'fast-check';
import type { KernelImage } from '../../src/image/index.ts';
import { DEFAULT_PROFILE } from '../../src/image/index.ts';
import { buildImage } from '../../src/image/packed/build-image.ts';
import { openImage } from '../../src/image/packed/open-image.ts';
import { type SyntheticOptions, syntheticKernel } from './synthetic-kernel.ts';
import { bzImage, PAYLOADS } from './wrap.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  /** The command that replays a failure; by default the one for synthetic kernels. */
  readonly replay?: string;
  /** What is fuzzed; other than the reader only to show that failures are reported. */
  readonly target?: (file: Uint8Array) => Promise<void>;
  /** Bases to damage; by default synthetic kernels. Files of real size get the wider limits. */
  readonly bases?: readonly Base[];
}

/** A kernel file to be damaged: an ELF and what wraps it. */
export interface Base {
  readonly name: string;
  readonly elf: Uint8Array;
  readonly wrap: (elf: Uint8Array) => Uint8Array;
  /** Ranges of `elf` where damage is likely to be interesting. */
  readonly hot: readonly (readonly [start: number, end: number])[];
}

type Damage =
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'set'; readonly at: number; readonly size: 1 | 2 | 4 | 8; readonly value: bigint }
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'copy'; readonly from: number; readonly to: number; readonly length: number };

const LIMIT_MS = 20_000;
const LIMIT_BYTES = 700 << 20;
const DETAIL_MAX = 600;

const INTERESTING = [
  0n,
  1n,
  2n,
  7n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x1_0000_0000n,
  0x7fffffffffffffffn,
  0xffffffffffffffffn,
  0xffffffff81000000n,
];

/** Section headers and the first bytes of each section, out of an ELF that is intact. */
export function hotRanges(elf: Uint8Array): (readonly [number, number])[] {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const table = Number(view.getBigUint64(40, true));
  const count = view.getUint16(60, true);
  const ranges: (readonly [number, number])[] = [
    [0, 64],
    [table, table + count * 64],
  ];
  for (let i = 1; i < count; i++) {
    const at = Number(view.getBigUint64(table + i * 64 + 24, true));
    const size = Number(view.getBigUint64(table + i * 64 + 32, true));
    if (size > 0 && at + 8 < elf.length)
      ranges.push([at, Math.min(at + size, elf.length)], [at, Math.min(at + 64, elf.length)]);
  }
  return ranges;
}

const VARIANTS: readonly SyntheticOptions[] = [
  {},
  { order: 'before' },
  { order: 'before-seqs', addressing: 'relative' },
  { order: 'before', addressing: 'absolute' },
  { symbols: 'symtab' },
  { alternativeSize: 12, bugSize: 8 },
];

const WRAPS: readonly (readonly [string, (elf: Uint8Array) => Uint8Array])[] = [
  ['ELF', (elf) => elf],
  ...Object.entries(PAYLOADS).map(
    ([name, pack]) => [`${name} bzImage`, (elf: Uint8Array) => bzImage(pack(elf))] as const,
  ),
];

export const syntheticBases = (): Base[] =>
  VARIANTS.flatMap((options) => {
    const { elf } = syntheticKernel(options);
    const hot = hotRanges(elf);
    return WRAPS.map(([name, wrap]) => ({ name: `${JSON.stringify(options)} ${name}`, elf, wrap, hot }));
  });

/** A place: anywhere, or in one of the hot ranges. Kept as fractions, so that it shrinks and fits any file. */
const placeArbitrary = fc.tuple(fc.boolean(), fc.nat(0xffff), fc.nat(0xffffff));
type Place = readonly [isHot: boolean, range: number, within: number];

function placeIn(length: number, hot: Base['hot'], [isHot, range, within]: Place): number {
  const chosen = isHot ? hot[range % hot.length] : undefined;
  const [start, end] = chosen ?? [0, length];
  return Math.min(length - 1, start + (within % Math.max(1, end - start)));
}

const sizeArbitrary = fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const);
const setTo = (value: fc.Arbitrary<bigint>) =>
  fc.record({ kind: fc.constant('set' as const), at: placeArbitrary, size: sizeArbitrary, value });

/** Cuts are rare: after one nearly everything ends at the section headers, which stand last. */
const damageArbitrary = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), at: placeArbitrary }) },
  { weight: 6, arbitrary: setTo(fc.constantFrom(...INTERESTING)) },
  { weight: 4, arbitrary: setTo(fc.bigInt(0n, 0xffffffffffffffffn)) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('flip' as const), at: placeArbitrary, bit: fc.nat(7) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('copy' as const),
      from: placeArbitrary,
      to: placeArbitrary,
      length: fc.nat(300),
    }),
  },
);
type WishedDamage = typeof damageArbitrary extends fc.Arbitrary<infer T> ? T : never;

function settle(wished: WishedDamage, length: number, hot: Base['hot']): Damage {
  switch (wished.kind) {
    case 'cut':
      return { kind: 'cut', at: placeIn(length, hot, wished.at) };
    case 'set':
      // Fields are aligned to their size more often than not.
      return { ...wished, at: placeIn(length, hot, wished.at) & ~(wished.size - 1) };
    case 'flip':
      return { ...wished, at: placeIn(length, hot, wished.at) };
    case 'copy':
      return { ...wished, from: placeIn(length, hot, wished.from), to: placeIn(length, hot, wished.to) };
  }
}

function damaged(bytes: Uint8Array, damages: readonly WishedDamage[], hot: Base['hot']): Uint8Array {
  let out = bytes.slice();
  for (const wished of damages) {
    if (out.length < 16) return out;
    const damage = settle(wished, out.length, hot);
    const view = new DataView(out.buffer);
    if (damage.kind === 'cut') out = out.slice(0, damage.at);
    else if (damage.kind === 'flip') out[damage.at] = (out[damage.at] as number) ^ (1 << damage.bit);
    else if (damage.kind === 'copy') out.copyWithin(damage.to, damage.from, damage.from + damage.length);
    else
      for (let i = 0; i < damage.size && damage.at + i < out.length; i++)
        view.setUint8(damage.at + i, Number((damage.value >> BigInt(8 * i)) & 255n));
  }
  return out;
}

/** Asks an image about everything once, as a service would. */
function ask(image: KernelImage): void {
  for (let i = 0; i < image.symbols.count; i += 1 + Math.floor(image.symbols.count / 500)) {
    const symbol = image.symbols.at(i);
    image.symbols.byName(symbol.name);
    image.btf?.prototype(symbol.name);
    if (symbol.offset !== undefined) image.symbols.containing(symbol.offset);
  }
  for (const name of ['fn_0', 'fn_1', 'fn_2', 'fn_3', 'nothing']) image.btf?.prototype(name);
  for (const _ of image.symbols.matching('*_1*')) break;
  image.symbols.near('fn_12x', 3);
  for (const site of image.ftraceSites)
    if (!image.pristine.contains(site, 5)) throw new Error(`ftrace site 0x${site.toString(16)} outside text`);
  for (let i = 0; i < image.jumpLabels.count; i++) {
    image.jumpLabels.key(i);
    image.pristine.bytes(image.jumpLabels.code[i] as number, image.jumpLabels.size[i] as number);
  }
  for (let i = 0; i < image.staticCalls.count; i++)
    image.pristine.bytes(image.staticCalls.site[i] as number, image.staticCalls.size[i] as number);
}

/** The property: an image that answers, or one line of refusal; in bounded time and memory. */
export async function readHostile(file: Uint8Array): Promise<void> {
  const before = process.memoryUsage().rss;
  const start = performance.now();
  const result = await buildImage({
    file,
    sha256: '0'.repeat(64),
    profile: DEFAULT_PROFILE,
    onProgress: () => undefined,
  });
  if (result.ok) {
    const image = openImage(result.value, () => ({ source: 'fuzz', loadMs: 0, fromCache: false }));
    if (image === undefined) throw new Error('an image was built that cannot be opened');
    ask(image);
  } else {
    const { errno, rule, detail } = result.fault;
    if (errno !== 'EINVAL' || !/^image\.(malformed|unsupported)$/.test(rule))
      throw new Error(`fault ${errno} ${rule} ${detail}`);
    if (detail === '' || detail.length > DETAIL_MAX || /[\n\r]/.test(detail))
      throw new Error(`not one line of text: ${detail}`);
  }
  const tookMs = performance.now() - start;
  const grew = process.memoryUsage().rss - before;
  if (tookMs > LIMIT_MS) throw new Error(`took ${Math.round(tookMs)} ms`);
  if (grew > LIMIT_BYTES) throw new Error(`memory grew by ${grew} bytes`);
}

/**
 * Damages kernels in `runs` random ways and reads them. Rejects at the first failure, its message's first line being the command that replays it.
 */
export async function fuzzImage(options: FuzzOptions): Promise<void> {
  const bases = options.bases ?? syntheticBases();
  const target = options.target ?? readHostile;
  const property = fc.asyncProperty(
    fc.nat(0xffff),
    fc.array(damageArbitrary, { minLength: 1, maxLength: 6 }),
    fc.boolean(),
    async (which, damages, isInside) => {
      const base = bases[which % bases.length] as Base;
      if (isInside) await target(base.wrap(damaged(base.elf, damages, base.hot)));
      else
        await target(
          damaged(base.wrap(base.elf), damages, [
            [0x1f0, 0x260],
            [0, 64],
            [0x600, 0x700],
          ]),
        );
    },
  );
  const details = await fc.check(property, { seed: options.seed, numRuns: options.runs });
  if (!details.failed) return;
  const why = details.errorInstance instanceof Error ? details.errorInstance : new Error(String(details.errorInstance));
  throw new Error(
    `${options.replay ?? `npm run fuzz -- image ${options.seed} ${options.runs}`}\nafter ${details.numRuns} runs, shrunk ${details.numShrinks} times: ${why.message}\n${why.stack ?? ''}\n${JSON.stringify(
      details.counterexample,
      (_, value) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value),
    )}`,
  );
}
