/** Every real kernel that is there loads, and what is read out of it holds together; of the recorded ones the counts are known. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Result, systemClock } from '../../src/base/index.ts';
import { DEFAULT_PROFILE, type KernelImage, loadKernelImage } from '../../src/image/index.ts';
import { readRawKernel } from '../../src/image/read-raw-kernel.ts';
import { unwrapKernel } from '../../src/image/unwrap.ts';
import { allKernels, RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { bzImage } from './wrap.ts';

const BUILT_IN = 'fixtures/builtin/vmlinux';

const imageOf = (result: Result<KernelImage>): KernelImage => {
  assert.ok(result.ok, result.ok ? '' : result.fault.detail);
  return result.value;
};

const load = async (kernel: { path: string } | { bytes: Uint8Array }): Promise<KernelImage> =>
  imageOf(
    await loadKernelImage({
      kernel,
      source: 'test',
      profile: DEFAULT_PROFILE,
      cacheFolder: undefined,
      clock: systemClock,
      onProgress: () => undefined,
    }),
  );

function isStrictlyAscending(values: ArrayLike<number>): boolean {
  for (let i = 1; i < values.length; i++) if ((values[i] as number) <= (values[i - 1] as number)) return false;
  return true;
}

const NOP5 = '0f1f440000';
const hexAt = (image: KernelImage, offset: number, length: number): string =>
  Buffer.from(image.pristine.bytes(offset, length)).toString('hex');

function holdsTogether(image: KernelImage): void {
  for (const column of [
    image.ftraceSites,
    image.jumpLabels.code,
    image.staticCalls.site,
    image.returnSites,
    image.alternatives.map((r) => r.start),
  ]) {
    assert.ok(isStrictlyAscending(column));
  }
  for (const site of image.ftraceSites) assert.equal(hexAt(image, site, 5), NOP5, image.symbols.containing(site)?.name);
  for (const [i, code] of image.jumpLabels.code.entries()) {
    const target = image.jumpLabels.target[i] as number;
    assert.ok(image.pristine.contains(target, 1));
    // A 2-byte jump reaches 127 bytes at the most.
    if (image.jumpLabels.size[i] === 2) assert.ok(target - code - 2 >= -128 && target - code - 2 <= 127);
    assert.ok(image.jumpLabels.key(i) % 4n === 0n);
  }
  const entries = new Set(image.staticCalls.trampolines.map((range) => range.start as number));
  assert.equal(entries.size, image.staticCalls.trampolines.length);
  for (const { start, end } of image.kprobeBlacklist.ranges) assert.ok(start < end);
  const function0 = [...image.symbols.matching('*')];
  assert.equal(function0.length, image.symbols.functionCount);
  for (const symbol of function0.slice(0, 2000)) {
    assert.equal(image.symbols.containing(symbol.offset as number)?.address, symbol.address);
    assert.ok(image.symbols.byName(symbol.name).some((each) => each.address === symbol.address));
  }
}

const kernels = [...allKernels(), ...(existsSync(BUILT_IN) ? [BUILT_IN] : [])];

for (const path of kernels) {
  test(`${basename(path)} loads and holds together`, async () => {
    const image = await load({ path });
    holdsTogether(image);
    assert.ok(image.ftraceSites.length > 0 && image.jumpLabels.count > 0 && image.staticCalls.count > 0);
    assert.ok((image.btf?.count ?? 0) > 0);
    if (path !== BUILT_IN) assert.equal(`vmlinuz-${image.release}`, basename(path));
  });
}

const { path: path612, skip: skip612 } = realKernel(RECORDED_6_12);

test('the recorded 6.12 kernel has the measured counts', { skip: skip612 }, async () => {
  const image = await load({ path: path612 });
  const raw = await readRawKernel(readFileSync(path612));
  assert.ok(raw.ok);
  const slots =
    ((raw.value.symbolOffset('__stop_mcount_loc') as number) -
      (raw.value.symbolOffset('__start_mcount_loc') as number)) /
    8;
  const textEnd = image.pristine.ranges.find((range) => range.name === '.text')?.length as number;
  const replaced = { returns: 2, retpolines: 0, calls: 0 };
  assert.deepEqual(
    {
      symbols: image.symbols.count,
      mcountSlots: slots,
      zeroSlots: slots - image.ftraceSites.length,
      inText: image.ftraceSites.filter((site) => site < textEnd).length,
      blacklist: image.kprobeBlacklist.entries.length,
      jumpLabels: image.jumpLabels.count,
      staticCalls: image.staticCalls.count,
      trampolines: image.staticCalls.trampolines.length,
      exceptions: image.exceptionTable.length,
      bugs: image.bugTable.length,
      seals: image.endbrSeals.length,
      returns: image.returnSites.length + replaced.returns,
      retpolines: image.retpolineSites.length + replaced.retpolines,
      calls: image.callSites.length + replaced.calls,
    },
    {
      symbols: 154_686,
      mcountSlots: 43_189,
      zeroSlots: 622,
      inText: 40_339,
      blacklist: 221,
      jumpLabels: 8_977,
      staticCalls: 7_872,
      trampolines: 3_855,
      exceptions: 625,
      bugs: 9_770,
      seals: 12_212,
      returns: 58_151,
      retpolines: 7_840,
      calls: 229_791,
    },
  );
  const pages = image.sections.find((section) => section.name === '.altinstructions')?.size as number;
  assert.equal(pages / 14, 9_282);
  assert.equal(image.base, 0xffffffff81000000n);
  const named = (name: string): string | undefined => image.btf?.prototype(name)?.text;
  assert.equal(named('tcp_set_state'), 'void tcp_set_state(struct sock *sk, int state)');
  assert.equal(named('bpf_modify_return_test'), 'int bpf_modify_return_test(int a, int *b)');
  assert.equal(image.symbols.near('bpf_modify_retrun_test', 1)[0], 'bpf_modify_return_test');
  assert.deepEqual(
    image.kprobeBlacklist.ranges.map((range) => range.name),
    ['.noinstr.text', '.entry.text', '.irqentry.text'],
  );
});

test('kprobes/blacklist of the recorded 6.12 kernel follows from entries and ranges', { skip: skip612 }, async () => {
  const image = await load({ path: path612 });
  let listed = image.kprobeBlacklist.entries.length;
  // kprobe_add_area_blacklist goes from symbol to symbol; .irqentry.text lies inside .entry.text.
  for (const range of image.kprobeBlacklist.ranges.filter(({ name }) => name !== '.irqentry.text')) {
    for (let at: number = range.start; at < range.end; listed++) at += image.symbols.containing(at)?.size || 1;
  }
  // The recording has 725, made with modules loaded, whose blacklists count too.
  assert.equal(listed, 722);
});

const { path: path61, skip: skip61 } = realKernel(RECORDED_6_1);

test('the recorded 6.1 kernel: LZ4, the older kallsyms order, 12-byte alternatives, no call sites', {
  skip: skip61,
}, async () => {
  const image = await load({ path: path61 });
  assert.deepEqual(
    [
      image.symbols.count,
      image.ftraceSites.length,
      image.kprobeBlacklist.entries.length,
      image.jumpLabels.count,
      image.staticCalls.count,
    ],
    [87_347, 37_697, 173, 5_980, 4_276],
  );
  assert.deepEqual(
    [image.endbrSeals.length, image.callSites.length, image.exceptionTable.length, image.bugTable.length],
    [0, 0, 532, 8_016],
  );
  assert.equal(image.btf?.prototype('tcp_set_state')?.text, 'void tcp_set_state(struct sock *sk, int state)');
});

test('the same kernel as a bare ELF and with a gzip payload is the same image', { skip: skip61 }, async () => {
  const unwrapped = await unwrapKernel(readFileSync(path61));
  assert.ok(unwrapped.ok);
  const images = [
    await load({ path: path61 }),
    await load({ bytes: bzImage(gzipSync(unwrapped.value.elf, { level: 1 })) }),
    await load({ bytes: unwrapped.value.elf.slice() }),
  ];
  const [first] = images;
  for (const image of images) {
    assert.deepEqual(
      [image.ftraceSites, image.jumpLabels.code, image.sections],
      [first?.ftraceSites, first?.jumpLabels.code, first?.sections],
    );
    for (const range of image.pristine.ranges) {
      assert.equal(
        Buffer.compare(
          image.pristine.bytes(range.start, range.length),
          first?.pristine.bytes(range.start, range.length) as Uint8Array,
        ),
        0,
      );
    }
  }
});
