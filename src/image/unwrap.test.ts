import assert from 'node:assert/strict';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { syntheticKernel } from '../../test/image/synthetic-kernel.ts';
import { bzImage, PAYLOADS } from '../../test/image/wrap.ts';
import { unwrapKernel } from './unwrap.ts';

const { elf } = syntheticKernel();

for (const [codec, pack] of Object.entries(PAYLOADS)) {
  test(`a bzImage with a ${codec} payload gives its ELF`, async () => {
    const result = await unwrapKernel(bzImage(pack(elf)));
    assert.ok(result.ok);
    assert.equal(result.value.codec, codec);
    assert.equal(Buffer.compare(result.value.elf, elf), 0);
  });
}

test('an ELF is taken as it is, a gzipped one unpacked', async () => {
  const bare = await unwrapKernel(elf);
  assert.ok(bare.ok && bare.value.codec === undefined && bare.value.elf === elf);
  const zipped = await unwrapKernel(gzipSync(elf));
  assert.ok(zipped.ok && Buffer.compare(zipped.value.elf, elf) === 0);
});

test('setup_sects 0 means 4', async () => {
  const file = bzImage(PAYLOADS.gzip(elf), 4);
  file[0x1f1] = 0;
  assert.ok((await unwrapKernel(file)).ok);
});

const detailOf = async (file: Uint8Array): Promise<string> => {
  const result = await unwrapKernel(file);
  assert.equal(result.ok, false);
  return result.ok ? '' : `${result.fault.errno} ${result.fault.rule} ${result.fault.detail}`;
};

test('what is no kernel is refused in one line', async () => {
  assert.match(await detailOf(new Uint8Array(0)), /^EINVAL image\.malformed file at offset 0x0: neither/);
  assert.match(await detailOf(new Uint8Array(100_000)), /^EINVAL image\.malformed file at offset 0x0: neither/);
  assert.match(
    await detailOf(bzImage(Buffer.from('what is this payload?'))),
    /image\.malformed bzImage payload at offset 0x0: unknown magic/,
  );
  assert.match(
    await detailOf(bzImage(PAYLOADS.gzip(Buffer.from('no ELF at all, but long enough')))),
    /does not unpack to an ELF/,
  );
  const old = bzImage(PAYLOADS.gzip(elf));
  old.set([0x00, 0x02], 0x206);
  assert.match(await detailOf(old), /image\.malformed bzImage header at offset 0x206/);
  assert.match(
    await detailOf(bzImage(PAYLOADS.gzip(elf)).slice(0, 5000)),
    /bzImage header at offset 0x248: payload .* ends past the file/,
  );
});

test('a payload that unpacks to more than it declares is refused without unpacking it', async () => {
  const bomb = gzipSync(Buffer.alloc(100 << 20), { level: 1 });
  bomb.writeUInt32LE(1000, bomb.length - 4);
  const before = process.memoryUsage().rss;
  assert.match(await detailOf(bzImage(bomb)), /image\.malformed gzip payload at offset 0x0/);
  assert.ok(process.memoryUsage().rss - before < 50 << 20);
});

test('a payload that declares gigabytes is refused without allocating them', async () => {
  const payload = PAYLOADS.lz4(elf);
  new DataView(payload.buffer).setUint32(payload.length - 4, 0xf0000000, true);
  assert.match(await detailOf(bzImage(payload)), /image\.malformed lz4 payload .*declares 4026531840 bytes/);
});
