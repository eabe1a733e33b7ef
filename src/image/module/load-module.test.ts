import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { builtinImage } from '../../../test/support/images.ts';
import { labModule } from '../../../test/support/modules.ts';
import type { Result } from '../../base/index.ts';
import type { KernelImage } from '../kernel-image.ts';
import { loadModuleImage, unpackModule } from './load-module.ts';
import type { ModuleImage } from './module-image.ts';
import { withModules, withoutInit } from './with-modules.ts';

const START = 0x4f00_0000;

function load(image: KernelImage, file: Uint8Array): Result<ModuleImage> {
  let next = START;
  const allocate = (_kind: unknown, size: number): number => {
    const at = next;
    next += size + 4096;
    return at;
  };
  return loadModuleImage({ file, image, placement: { allocate, perCpu: 0x40000n } });
}

async function loaded(): Promise<{ readonly image: KernelImage; readonly module: ModuleImage }> {
  const image = await builtinImage();
  const module = load(image, labModule());
  assert.ok(module.ok, module.ok ? '' : module.fault.detail);
  return { image, module: module.value };
}

test('areas are whole pages of their kind, apart from one another', async () => {
  const { module } = await loaded();
  assert.deepEqual(
    module.areas.map(({ kind }) => kind),
    ['text', 'data', 'rodata', 'ro_after_init', 'init.text'],
  );
  for (const [i, area] of module.areas.entries()) {
    assert.equal(area.start % 4096, 0);
    assert.equal(area.size % 4096, 0);
    const next = module.areas[i + 1];
    if (next !== undefined) assert.ok(area.start + area.size < next.start);
  }
  const text = module.sections.filter((section) => section.area === 'text').map((section) => section.name);
  assert.ok(text.includes('.text') && text.includes('.noinstr.text') && text.includes('.exit.text'), text.join());
});

test('references go to the kernel and to the module itself', async () => {
  const { image, module } = await loaded();
  const key = module.symbols.find(({ name }) => name === 'lab_key');
  assert.ok(key !== undefined);
  assert.equal(module.jumpLabels.key(0), key.address);
  const sct = module.symbols.find(({ name }) => name === '__SCT__lab_sc');
  const first = module.symbols.find(({ name }) => name === 'lab_sc_first');
  assert.ok(sct?.offset !== undefined && first?.offset !== undefined);
  const jump = Buffer.from(module.pristine.bytes(sct.offset, 5));
  assert.equal(jump[0], 0xe9);
  assert.equal(sct.offset + 5 + jump.readInt32LE(1), first.offset, 'R_X86_64_PC32 to its own function');
  assert.equal(module.staticCalls.key(0), module.symbols.find(({ name }) => name === '__SCK__lab_sc')?.address);
  assert.equal(image.symbols.offsetOf('lab_sct'), undefined);
});

test('a kernel with the module answers for both', async () => {
  const { image, module } = await loaded();
  const both = withModules(image, [module]);
  assert.equal(both.symbols.count, image.symbols.count + module.symbols.length);
  assert.equal(both.symbols.at(both.symbols.count - 1).name, module.symbols.at(-1)?.name);
  assert.deepEqual(
    both.symbols.byName('lab_opt').map(({ offset }) => (offset ?? 0) >= START),
    [false, true],
    'the kernel’s comes first',
  );
  assert.equal(both.ftraceSites.length, image.ftraceSites.length + module.ftraceSites.length);
  assert.ok(both.ftraceSites.every((site, i, all) => i === 0 || site > (all[i - 1] ?? 0)));
  assert.equal(both.jumpLabels.key(image.jumpLabels.count), module.jumpLabels.key(0));
  assert.equal(both.jumpLabels.key(0), image.jumpLabels.key(0));
  assert.deepEqual([...both.symbols.matching('lab_ts1*')].map(({ name }) => name).sort(), [
    'lab_ts12',
    'lab_ts16',
    'lab_ts16b',
    'lab_ts16c',
  ]);
  assert.deepEqual(both.symbols.near('lab_noinst', 1), ['lab_noinstr']);
  const last = module.symbols.find(({ name }) => name === 'lab_tail');
  assert.ok(last?.offset !== undefined);
  assert.equal(both.symbols.containing(last.offset + 3)?.name, 'lab_tail');
  assert.equal(both.pristine.u8(last.offset), module.pristine.u8(last.offset));
});

test('what only init needed is left out once it is live', async () => {
  const { module } = await loaded();
  const live = withoutInit(module);
  const names = (image: ModuleImage): readonly string[] => image.symbols.map(({ name }) => name);
  assert.ok(names(module).includes('lab_init') && !names(live).includes('lab_init'));
  assert.equal(module.ftraceSites.length - live.ftraceSites.length, 1);
  assert.ok(live.areas.every(({ kind }) => !kind.startsWith('init.')));
});

test('packed files are unpacked; other packings are named', async () => {
  const plain = labModule();
  const gzip = await unpackModule(new Uint8Array(gzipSync(plain)));
  assert.ok(gzip.ok);
  assert.deepEqual(Buffer.from(gzip.value), Buffer.from(plain));
  const zstd = await unpackModule(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0));
  assert.ok(!zstd.ok && /zstd/.test(zstd.fault.detail));
});

test('a damaged file is refused or loaded, and never anything else', async () => {
  const image = await builtinImage();
  const plain = labModule();
  const damage = fc.record({
    at: fc.nat({ max: plain.length - 1 }),
    byte: fc.integer({ min: 0, max: 255 }),
    length: fc.integer({ min: 0, max: plain.length }),
    isCut: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (all) => {
      let file = plain.slice();
      for (const { at, byte, length, isCut } of all) {
        if (isCut && length % 7 === 0) file = file.slice(0, length);
        if (at < file.length) file[at] = byte;
      }
      const result = load(image, file);
      if (!result.ok) assert.match(result.fault.rule, /^module\./);
    }),
    { numRuns: 400 },
  );
});
