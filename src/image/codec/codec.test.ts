import assert from 'node:assert/strict';
import test from 'node:test';
import { toHex } from '../../base/index.ts';
import { type Codec, codecOf, decompress, UNPACKED_MAX } from './decompress.ts';
import { decodeX86Bcj } from './x86-bcj.ts';

/** 60 times `push; mov; call; jmp; pop; ret`: what the x86 filter of xz is for. */
function codeLike(): Uint8Array {
  const bytes = Buffer.alloc(960);
  for (let i = 0; i < 60; i++) {
    const at = i * 16;
    bytes.set([0x55, 0x48, 0x89, 0xe5, 0xe8], at);
    bytes.writeInt32LE(0x400 - (at + 5) - (i % 3) * 64, at + 5);
    bytes[at + 9] = 0xe9;
    bytes.writeInt32LE(0x300 - (at + 10), at + 10);
    bytes.set([0x5d, 0xc3], at + 14);
  }
  return Uint8Array.from(bytes);
}

/** Made by the command line tools with the options of the kernel's build (scripts/Makefile.lib, scripts/xz_wrap.sh of 6.12). */
const PACKED: Readonly<Record<Exclude<Codec, 'lzo'>, string>> = {
  zstd: 'KLUv/QBobQYAgskhHsA7cEwXg2atCWedaYPp4Q3GIGkolcQUrRnNZFtpp9Hy/4dcOlpt9zhmvd9zJT5Ny/n/Z35oik4Z74AgISftmEVwk92uDyTFSVtYy+7AC2c4R/cwyk7RZy8m8tzOg0jNRFkVyKCBKLSBHQjsXDpabfc4Zr3fcyU+Tcu5oqW1IOutCf6qmEQJdqgRoDvsb4AvdDBeJIE8pU5AA4XODqZGCnpAghU+YYGqHzuk5k/WO05MpwTKPVG3M7PEe4Zgw2nUWeJEQr17+qbIKg==',
  lz4: 'AiFMGOUBAADxAVVIieXo+wMAAOn2AgAAXcMQABCrEAAW5hAAEFsQABbWEAAQyxAAFsYQABB7EAAWthAAECsQABamEAAQmxAAFpYQABBLEAAWhhAAZvsCAADpdhAAEGsgABZmEAAQGxAAF1aAAAAwABZGEAAQOyAAFjYQABDrIAAXJoAAABAAFhYQABALMAAWBhAAELsgACb2AYAAABAAFuYQABDbEAAW1hAAEIsQABbGEAAQOxAAFrYQABCrEAAWphAAEFsQABaWEAAQCxAAFoYQABF7AAEGEAAQKxAAF2aAABABAAEGEAARSwABBhAAEPsgABc2gAAAEAAWJhAAERsAAQYQABDLIAAXBoAAABAAJvYAQAEAEAAW5hAAEJsQABbWEAAQSxAAFsYQABC7EAAWthAAEGsQABamEAAQGxAAFpYQABCLEAAWhhAAEDsQABd2gAAQAAABBhAAEVsAAQYQABALEAAXRoAAADAAFjYQABErAAEGEAAQ2yAAFxaAAAAQABYGEAAQ+xAARPb///9AAQAQABbmEAAQWxAAFtYQABDLEAAWxhAAEHsQABa2EAAQKxAAFqYQABCbEAAWlhAAEEsQABaGEABm+////+l2EAARawABBhAAEBsQABdWgACg////6Ub///9dww==',
  xz: '/Td6WFoAAAFpIt42AgEEACEBHgAFDOzX4AO/ACNdACqSDaTkvkL+lBZbFs5fLFnZ/A437uHb/BgprnZvwR6gDdoAAAAwr9cqAAE7wAcAAADR8yrZPjANiwIAAAAAAVla',
  bzip2:
    'QlpoOTFBWSZTWUG9hWUAAOt///kIAQgBCAEIAUgDCgEIAQgBKAEIAQgBCAkIAQgDaAEIsAEpYRx/qoAAP0p5NRnk01GSaA1PNVQAAA0A0AAIVRE0D0QAA9QAYna3lYz053UcxW5FKl9mSnfc1Wp9NJAAAAAAAACNOKOKJxONSJqOSSuCE5BiagiQE2AAAAAAAAABSioqVatWuuuqqUllJVWEYQnFWaatObMROJPJmhmaGaPInIjzM8/T0zzz1admjLZllryy17nczBMEzB+ArgG0FcQwD5d80NNNNDTQ00hGIYhBBB/Arg4BBBBBO0FcAwSCdwK4BvBXUrqlKADS6AkxBcca1rWlL8McIw/i7kinChIIN7CsoA==',
  lzma: 'XQAAAAT//////////wAqkg2k5MI5GUotU08uUTDtgmWtE32YqbcLYmM5kRyGZFIBjExMt/9Z4oROojqg3eKjj/JPOqJjeDjQcfzs5nq5H1CAL2Wf1M40ylQAbToD9ujjmCaXpFJ2dnjB2vqREBPdcphV3ibKPd4+jSysMvoKKhB7xtVBkVSxZRDl4nGzdIibPFL8yLvkbdldQ/56kf69cBTJdMWd4PPz4331IPA4HGeTd4zG2zM5kLI7Z8wbDCOrusf45LZ5CpBil/NE37q5CqhRz8ANc8xYtzY9erstYe/SGoOvzR8LkjDyYcYvZ1oPiDESuP/8ajAA',
  gzip: 'H4sIAAAAAAACA03QIWzCUBhF4bIlGDymHlOPwZMl1WCaWQweg2+y4GvwNfM1yCU1+Br0mpH5mgrGeclynntf7p/c3Ld5+/j+GV+T5D68JMn71wZ/4l4XuNNX3OojbnSGa33Glc5xqcfn837Qe/KdTvE26ud+rVfkS/1Lvoj68VzPuJ/qC/kwsR/3+oY7fcKtXuFGf+JaF7jSM1zqY9ivM7yL+ifs13nYr0fyZdSPFzoN+/WVfBr14yHx/3Cvz7jTOW71BTd6j2ud4kqfcKlX+BD1J+zXRdivZ3gd9XO/1FnYr2/k86gfT/WIh8fj8f9/uNcF7vQVt/qIG53hWp9xpXNc6vH5vB/0PuzXKd5G/dyvg/8AMK/XKsADAAA=',
};

/** Lengths to skip when it is cut short: each run of bzip2 makes a WebAssembly instance. */
const STEPS: Readonly<Partial<Record<Codec, number>>> = { bzip2: 7 };

const CODECS = Object.keys(PACKED) as (keyof typeof PACKED)[];
const packed = (codec: keyof typeof PACKED): Uint8Array => Uint8Array.from(Buffer.from(PACKED[codec], 'base64'));

for (const codec of CODECS) {
  test(`${codec} as the kernel's build packs it unpacks`, async () => {
    assert.equal(codecOf(packed(codec)), codec);
    const result = await decompress(codec, packed(codec), 960);
    assert.ok(result.ok);
    assert.equal(toHex(result.value), toHex(codeLike()));
  });

  test(`${codec} cut short is malformed, in one line that names it`, async () => {
    const whole = packed(codec);
    // The last bytes may be padding, an index or a checksum that nothing needs.
    for (let length = 0; length < whole.length - 40; length += STEPS[codec] ?? 1) {
      const result = await decompress(codec, whole.slice(0, length), 960);
      assert.equal(result.ok, false, `${codec} of ${length} bytes`);
      if (result.ok) continue;
      assert.equal(result.fault.rule, 'image.malformed');
      assert.match(
        result.fault.detail,
        /^(zstd|gzip|lz4|LZ4|xz|LZMA|LZMA2|bzip2|lzma|byte)[^\n]* at offset 0x[0-9a-f]+: [^\n]+$/,
      );
    }
  });

  test(`${codec} that unpacks to another size than declared is malformed`, async () => {
    for (const size of [959, 961, 64]) {
      const result = await decompress(codec, packed(codec), size);
      // The lzma format carries no size that is to be believed: it stops where it is told to.
      if (codec === 'lzma' && size < 960) continue;
      assert.equal(result.ok, false, `${codec} as ${size}`);
    }
  });
}

test('sizes of zero and beyond the limit are refused before anything is allocated', async () => {
  for (const size of [0, UNPACKED_MAX + 1, 0xffffffff]) {
    const before = process.memoryUsage().rss;
    const result = await decompress('xz', packed('xz'), size);
    assert.equal(!result.ok && result.fault.rule, 'image.malformed');
    assert.ok(process.memoryUsage().rss - before < 64 << 20);
  }
});

test('lzo is named as unsupported', async () => {
  const lzo = Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f, 0, 0, 0, 0);
  assert.equal(codecOf(lzo), 'lzo');
  const result = await decompress('lzo', lzo, 10);
  assert.equal(!result.ok && result.fault.rule, 'image.unsupported');
});

test('the x86 filter leaves bytes without calls alone and the last four always', () => {
  const plain = Uint8Array.of(0x90, 0x90, 0xc3, 0xe8, 1, 2, 3);
  const copy = plain.slice();
  decodeX86Bcj(copy);
  assert.deepEqual(copy, plain);
});
