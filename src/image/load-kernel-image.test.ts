import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { syntheticKernel } from '../../test/image/synthetic-kernel.ts';
import { bzImage, PAYLOADS } from '../../test/image/wrap.ts';
import { ManualClock, type Result } from '../base/index.ts';
import { cachePath, defaultCacheFolder } from './cache.ts';
import { DEFAULT_PROFILE, type KernelImage, type LoadProgress, loadKernelImage } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'ktextd-image-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = bzImage(PAYLOADS.gzip(syntheticKernel().elf));
const path = join(folder, 'vmlinuz');
writeFileSync(path, file);

const steps: LoadProgress[] = [];
const load = (
  cacheFolder: string | undefined,
  kernel: { path: string } | { bytes: Uint8Array } = { path },
  name = 'max',
): Promise<Result<KernelImage>> => {
  steps.length = 0;
  return loadKernelImage({
    kernel,
    source: 'here',
    profile: { ...DEFAULT_PROFILE, name },
    cacheFolder,
    clock: new ManualClock(),
    onProgress: (progress) => steps.push(progress),
  });
};

const imageOf = (result: Result<KernelImage>): KernelImage => {
  assert.ok(result.ok, result.ok ? '' : result.fault.detail);
  return result.value;
};

/** Everything that can be compared: tables, text, some symbols. */
const contents = (image: KernelImage): unknown => ({
  ...image,
  loadMs: 0,
  fromCache: false,
  pristine: image.pristine.ranges.map((r) => [r, image.pristine.bytes(r.start, r.length)]),
  symbols: Array.from({ length: image.symbols.count }, (_, i) => image.symbols.at(i)),
  jumpLabels: Array.from(image.jumpLabels.code, (_, i) => [
    image.jumpLabels.key(i),
    image.jumpLabels.isBranch(i),
    image.jumpLabels.size[i],
  ]),
  staticCalls: Array.from(image.staticCalls.site, (_, i) => [image.staticCalls.key(i), image.staticCalls.isTail(i)]),
  btf: image.btf?.prototype('fn_1'),
  moduleSupport: { ...image.moduleSupport, exported: null, keyState: null, readData: null },
});

test('a second load comes from the cache and is the same image', async () => {
  const cache = join(folder, 'a');
  const cold = imageOf(await load(cache));
  assert.deepEqual(
    steps.map((step) => step.step),
    ['read', 'unpack', 'symbols', 'tables', 'boot patching', 'types', 'pack', 'pack'],
  );
  const warm = imageOf(await load(cache));
  assert.deepEqual(
    steps.map((step) => step.step),
    ['read'],
  );
  assert.deepEqual(
    [cold.fromCache, warm.fromCache, cold.source, cold.symbols.functionCount],
    [false, true, 'here', 309],
  );
  assert.deepEqual(contents(warm), contents(cold));
  assert.equal(warm.moduleSupport.hasExports, false, 'the synthetic kernel has no __ksymtab');
  assert.deepEqual(readdirSync(join(cache, 'images')).length, 1, 'no temporary file is left');
});

test('another profile is another file', async () => {
  const cache = join(folder, 'b');
  await load(cache);
  assert.equal(imageOf(await load(cache, { path }, 'other')).fromCache, false);
  assert.equal(readdirSync(join(cache, 'images')).length, 2);
});

test('a damaged, cut or empty cache file is ignored and replaced', async () => {
  const cache = join(folder, 'c');
  const image = imageOf(await load(cache));
  const cached = cachePath(cache, image.sha256, image.profile);
  const damages: readonly (() => void)[] = [
    () => truncateSync(cached, 5000),
    () => truncateSync(cached, 0),
    () => {
      const bytes = readFileSync(cached);
      bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
      writeFileSync(cached, bytes);
    },
    () => writeFileSync(cached, Buffer.alloc(10_000, 'x')),
  ];
  for (const damage of damages) {
    damage();
    assert.equal(imageOf(await load(cache)).fromCache, false);
    assert.equal(imageOf(await load(cache)).fromCache, true);
  }
});

test('loads that race for one cache all succeed', async () => {
  const cache = join(folder, 'd');
  const images = await Promise.all([1, 2, 3, 4].map(() => load(cache)));
  for (const image of images)
    assert.deepEqual(contents(imageOf(image)), contents(imageOf(images[0] as Result<KernelImage>)));
  assert.equal(imageOf(await load(cache)).fromCache, true);
  assert.equal(readdirSync(join(cache, 'images')).length, 1);
});

test('eight images are kept, and abandoned temporary files go', async () => {
  const cache = join(folder, 'e');
  await load(cache, { path }, 'p0');
  const images = join(cache, 'images');
  const abandoned = join(images, 'x.bin.1-1.tmp');
  writeFileSync(abandoned, 'half');
  utimesSync(abandoned, 0, 0);
  for (let i = 1; i < 12; i++) await load(cache, { path }, `p${i}`);
  assert.deepEqual([readdirSync(images).length, readdirSync(images).some((name) => name.endsWith('.tmp'))], [8, false]);
});

test('a cache that cannot be written is mentioned and otherwise does not matter', async () => {
  const notAFolder = join(folder, 'file');
  writeFileSync(notAFolder, '');
  imageOf(await load(notAFolder));
  assert.match(steps.at(-1)?.step ?? '', /^not cached: /);
  imageOf(await load(undefined));
  assert.equal(steps.at(-1)?.step, 'pack');
});

test('bytes load as a path does', async () => {
  assert.equal(imageOf(await load(undefined, { bytes: file.slice() })).symbols.functionCount, 309);
});

test('faults begin with the source', async () => {
  const faultOf = async (kernel: { path: string } | { bytes: Uint8Array }): Promise<string> => {
    const result = await load(undefined, kernel);
    return result.ok ? '' : `${result.fault.errno} ${result.fault.rule} ${result.fault.detail}`;
  };
  assert.equal(
    await faultOf({ path: join(folder, 'missing') }),
    'ENOENT image.unreadable here: cannot be read: ENOENT',
  );
  assert.equal(await faultOf({ path: folder }), 'EINVAL image.unsupported here: not a regular file');
  assert.equal(await faultOf({ path: '/dev/zero' }), 'EINVAL image.unsupported here: not a regular file');
  assert.match(
    await faultOf({ bytes: Buffer.from('nothing') }),
    /^EINVAL image\.malformed here: file at offset 0x0: neither/,
  );
});

test('the cache folder follows the XDG specification', () => {
  assert.equal(defaultCacheFolder({ XDG_CACHE_HOME: '/x' }), '/x/ktextd');
  assert.match(defaultCacheFolder({ XDG_CACHE_HOME: 'relative' }), /\/\.cache\/ktextd$/);
  assert.match(defaultCacheFolder({}), /\/\.cache\/ktextd$/);
});
