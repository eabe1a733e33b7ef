/**
 * Modules of Debian's kernels, where they are: each loads with those that it depends on, or says what it needs. Goal: the loader reads what real builds
 * make. Method: all modules of a release in the order of their needs, over one growing image; then what their text has.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, it } from 'node:test';
import type { KernelImage, ModuleImage } from '../../src/image/index.ts';
import { loadModuleImage, unpackModule, withModules } from '../../src/image/index.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { debianModules, labModule } from '../support/modules.ts';

const NOP5 = '0f1f440000';
/** Enough for every kind of section and relocation, few enough for seconds. */
const SAMPLE = 60;
/** Needed by many. */
const FIRST =
  /\/(?:libcrc32c|crc32c_generic|nf_defrag_ipv[46]|nf_conntrack|nfnetlink|nf_tables|x_tables|xfs|mbcache|jbd2|ext4)\.ko/;

interface Loaded {
  readonly image: KernelImage;
  readonly modules: readonly ModuleImage[];
}

async function loadAll(core: KernelImage, files: readonly string[]): Promise<Loaded> {
  let next = 0x4f00_0000;
  let image = core;
  let modules: readonly ModuleImage[] = [];
  let rest = files;
  // Each round loads what the rounds before have made room for.
  for (let round = 0; round < 6 && rest.length > 0; round++) {
    const again: string[] = [];
    for (const path of rest) {
      const file = await unpackModule(new Uint8Array(readFileSync(path)));
      assert.ok(file.ok, path);
      const allocate = (_kind: unknown, size: number): number => {
        const at = next;
        next += size + 4096;
        return at;
      };
      const module = loadModuleImage({ file: file.value, image, placement: { allocate, perCpu: 0x40000n } });
      if (module.ok) {
        modules = [module.value, ...modules];
        image = withModules(core, modules);
      } else {
        assert.equal(module.fault.rule, 'module.symbol.unknown', `${basename(path)}: ${module.fault.detail}`);
        again.push(path);
      }
    }
    rest = again;
  }
  return { image, modules };
}

for (const [name, release, lab] of [
  [RECORDED_6_12, '6.12.117+deb12-cloud-amd64', '6.12'],
  [RECORDED_6_1, '6.1.0-55-cloud-amd64', '6.1'],
] as const) {
  const kernel = realKernel(name);
  const { files, skip } = debianModules(release);

  describe(`modules on ${release}`, { skip: kernel.skip }, () => {
    it('this project’s own loads with its versions, its types and its sites', async () => {
      const image = await kernelImage(kernel.path);
      let next = 0x4f00_0000;
      const allocate = (): number => {
        next += 0x10000;
        return next;
      };
      const own = loadModuleImage({ file: labModule(lab), image, placement: { allocate, perCpu: 0x40000n } });
      assert.ok(own.ok, own.ok ? '' : own.fault.detail);
      assert.equal(own.value.btf?.prototype('lab_t2')?.text, 'long lab_t2(long a, void *p)');
      for (const site of own.value.ftraceSites)
        assert.equal(Buffer.from(own.value.pristine.bytes(site, 5)).toString('hex'), NOP5);
    });

    it('Debian’s load', { skip }, async () => {
      const core = await kernelImage(kernel.path);
      const first = files.filter((file) => FIRST.test(file));
      const every = Math.max(1, Math.floor(files.length / SAMPLE));
      const sample = files.filter((file, i) => i % every === 0 && !first.includes(file));
      const { modules } = await loadAll(core, [...first, ...sample]);
      assert.ok(modules.length > SAMPLE / 4, `${modules.length} of ${first.length + sample.length} were loaded`);
      for (const module of modules)
        for (const site of module.ftraceSites)
          assert.equal(Buffer.from(module.pristine.bytes(site, 5)).toString('hex'), NOP5, module.name);
      assert.ok(modules.some(({ jumpLabels }) => jumpLabels.count > 0));
      assert.ok(modules.some(({ uses }) => uses.length > 0));
      assert.ok(modules.some(({ btf }) => (btf?.count ?? 0) > 0));
    });
  });
}
