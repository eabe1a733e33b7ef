import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { kernelAddress, systemClock, toAddress } from '../../src/base/index.ts';
import { loadKernelImage, parseProfile } from '../../src/image/index.ts';
import { makeWorld } from '../../src/registry/index.ts';
import { RECORDED_6_12, realKernel } from '../support/kernels.ts';

/**
 * What a boot asks of generated code (how it returns, where it accounts call depth) is read out of pristine text. Goal: on each recorded CPU it
 * is what the recorded kernel's own JIT and trampolines did there.
 */
interface Expected {
  readonly profile: { readonly name: string };
  readonly returnThunk: string | null;
  readonly callDepth: string | null;
}

const { path, skip } = realKernel(RECORDED_6_12);
const file = new URL('./cpu-profiles.json', import.meta.url);
const { profiles } = JSON.parse(readFileSync(file, 'utf8')) as { readonly profiles: readonly Expected[] };

for (const expected of profiles)
  test(`${expected.profile.name}: returns and call depth as recorded`, { skip }, async () => {
    const profile = parseProfile(expected.profile);
    assert.ok(profile.ok);
    const image = await loadKernelImage({
      kernel: { path },
      source: path,
      profile: profile.value,
      cacheFolder: undefined,
      onProgress: () => undefined,
      clock: systemClock,
    });
    assert.ok(image.ok);
    const { cpu } = makeWorld(image.value, { strictness: 'linux' });
    const thunk = cpu.returnThunk === undefined ? undefined : image.value.symbols.containing(cpu.returnThunk);
    assert.equal(thunk?.name ?? null, expected.returnThunk);
    if (thunk !== undefined) assert.equal(thunk.offset, cpu.returnThunk);
    const depth = cpu.callDepth === undefined ? null : toAddress(image.value.base, cpu.callDepth);
    assert.equal(depth, expected.callDepth === null ? null : kernelAddress(BigInt(expected.callDepth)));
  });
