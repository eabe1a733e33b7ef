/**
 * Every static branch and every static call of two real kernels. Goal: the bytes that the registry computes from a key's state are the bytes
 * that boot wrote, on machines with different returns and calls. Method: the state is read from one place of each key (its first branch, its
 * trampoline), then all other places of the key are computed and compared.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock, toHex } from '../../src/base/index.ts';
import { type BootProfile, DEFAULT_PROFILE, type KernelImage, loadKernelImage } from '../../src/image/index.ts';
import { makeWorld } from '../../src/registry/index.ts';
import { bootEnabled, keyOf, labelBytes } from '../../src/registry/jump-label/keys.ts';
import { returnThunk, translateCallDestination } from '../../src/registry/static-call/boot-cpu.ts';
import { bootFunction, staticCallOf } from '../../src/registry/static-call/calls.ts';
import { callInsn, callPlaces } from '../../src/registry/static-call/transform.ts';
import type { World } from '../../src/registry/world.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';

interface Machine {
  readonly name: string;
  readonly bugs: string;
  readonly vendor?: string;
  readonly vulnerabilities: Readonly<Record<string, string>>;
  readonly cmdline?: string;
  /** 6.1 has no such mitigation. */
  readonly isNew?: true;
  /** The return thunk by kernel; absent where returns are plain. */
  readonly thunk?: { readonly [kernel in typeof RECORDED_6_1 | typeof RECORDED_6_12]?: string };
}

const MACHINES: readonly Machine[] = [
  { name: 'max', bugs: '', vulnerabilities: {} },
  {
    name: 'safe return',
    bugs: 'srso',
    vulnerabilities: { spec_rstack_overflow: 'Mitigation: Safe RET' },
    thunk: { [RECORDED_6_12]: 'srso_alias_return_thunk', [RECORDED_6_1]: 'srso_alias_return_thunk' },
  },
  {
    name: 'call depth tracking',
    bugs: 'retbleed',
    vendor: 'GenuineIntel',
    vulnerabilities: { retbleed: 'Mitigation: Stuffing' },
    cmdline: 'retbleed=stuff',
    isNew: true,
    thunk: { [RECORDED_6_12]: 'call_depth_return_thunk' },
  },
  {
    name: 'aligned returns',
    bugs: 'its',
    vendor: 'GenuineIntel',
    vulnerabilities: { indirect_target_selection: 'Mitigation: Aligned branch/return thunks' },
    thunk: { [RECORDED_6_12]: 'its_return_thunk', [RECORDED_6_1]: 'its_return_thunk' },
  },
];

function profileOf({ name, bugs, vendor, vulnerabilities, cmdline }: Machine): BootProfile {
  return {
    ...DEFAULT_PROFILE,
    name,
    cpu: DEFAULT_PROFILE.cpu.map((line) => {
      if (line.startsWith('bugs')) return `${line} ${bugs}`;
      return line.startsWith('vendor_id') && vendor !== undefined ? `vendor_id\t: ${vendor}` : line;
    }),
    vulnerabilities: { ...DEFAULT_PROFILE.vulnerabilities, ...vulnerabilities },
    cmdline: `${DEFAULT_PROFILE.cmdline} ${cmdline ?? ''}`,
  };
}

async function worldOf(path: string, profile: BootProfile): Promise<World> {
  const image = await loadKernelImage({
    kernel: { path },
    source: path,
    profile,
    cacheFolder: undefined,
    onProgress: () => undefined,
    clock: systemClock,
  });
  assert.ok(image.ok);
  return makeWorld(image.value, { strictness: 'linux' });
}

const hexAt = ({ pristine }: KernelImage, at: number, size: number): string => toHex(pristine.bytes(at, size));
const isLive = ({ coreText }: World, at: number): boolean => at >= coreText.start && at < coreText.end;

/** Places of static branches that differ from what their key's state asks for. */
function wrongLabels(world: World): { readonly wrong: readonly string[]; readonly count: number } {
  const { image } = world;
  const wrong: string[] = [];
  let count = 0;
  for (const [entry, at] of image.jumpLabels.code.entries()) {
    if (!isLive(world, at)) continue;
    count += 1;
    const bytes = labelBytes(world, entry, bootEnabled(world, keyOf(world, entry)));
    if (toHex(bytes) !== hexAt(image, at, bytes.length)) wrong.push(`${image.symbols.containing(at)?.name}`);
  }
  return { wrong, count };
}

/** The same for static calls; returns are left out where boot writes them before it knows of return thunks: of trampolines, on 6.1 all. */
function wrongCalls(world: World): { readonly wrong: readonly string[]; readonly count: number } {
  const { image } = world;
  const keys = new Set(Array.from(image.staticCalls.site, (_, i) => Number(image.staticCalls.key(i) - image.base)));
  const wrong: string[] = [];
  let count = 0;
  for (const key of keys) {
    const call = staticCallOf(world, key);
    assert.ok(call !== undefined, `a key without a name: ${image.symbols.containing(key)?.name}`);
    const func = bootFunction(world, call);
    if (func === undefined) continue;
    for (const place of callPlaces(world, call)) {
      if (func === null && place.isTail && (place.at === call.trampoline || world.kernel === '6.1')) continue;
      count += 1;
      const { bytes } = callInsn(world, place, func, undefined);
      if (toHex(bytes) !== hexAt(image, place.at, place.size))
        wrong.push(`${call.name} at ${image.symbols.containing(place.at)?.name}: ${toHex(bytes)}`);
    }
  }
  return { wrong, count };
}

for (const kernel of [RECORDED_6_12, RECORDED_6_1] as const) {
  const { path, skip } = realKernel(kernel);
  describe(`static branches and calls of ${kernel}`, { skip }, () => {
    for (const machine of MACHINES.filter((each) => kernel === RECORDED_6_12 || each.isNew !== true))
      it(`follow from their keys: ${machine.name}`, async () => {
        const world = await worldOf(path, profileOf(machine));
        const thunk = returnThunk(world);
        assert.equal(
          thunk === undefined ? undefined : world.image.symbols.containing(thunk)?.name,
          machine.thunk?.[kernel],
        );
        const anyFunction = world.image.symbols.offsetOf('__cond_resched') ?? 0;
        assert.equal(translateCallDestination(world, anyFunction) !== anyFunction, machine.cmdline !== undefined);
        const labels = wrongLabels(world);
        const calls = wrongCalls(world);
        assert.deepEqual(labels.wrong.slice(0, 10), [], `${labels.wrong.length} of ${labels.count} branches`);
        assert.deepEqual(calls.wrong.slice(0, 10), [], `${calls.wrong.length} of ${calls.count} calls`);
        assert.ok(labels.count > 5_000 && calls.count > 4_500, `${labels.count} branches, ${calls.count} calls`);
      });
  });
}
