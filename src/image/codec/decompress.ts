import { gunzipSync } from 'node:zlib';
import { err, ok, type Result } from '../../base/index.ts';
import { ImageFault, malformed, refuse, unsupported } from '../malformed.ts';
import { decodeLz4Legacy } from './lz4.ts';
import { decodeLzmaAlone } from './lzma.ts';
import { decodeXz } from './xz.ts';

/** Unpacked kernels are 50 to 100 MiB. More than this is taken for a bomb; up to four times this is held while a kernel is read. */
export const UNPACKED_MAX = 160 << 20;

export type Codec = 'zstd' | 'gzip' | 'lz4' | 'xz' | 'bzip2' | 'lzma' | 'lzo';

const MAGICS: readonly (readonly [Codec, readonly number[]])[] = [
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['gzip', [0x1f, 0x8b]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f]],
];

/** Which codec made these bytes, by their magic; undefined when none is known. */
export function codecOf(bytes: Uint8Array): Codec | undefined {
  return MAGICS.find(([, magic]) => magic.every((byte, i) => bytes[i] === byte))?.[0];
}

// The two codecs in WebAssembly are imported when a payload needs them: most starts come from the cache and need none.

async function unzstd(packed: Uint8Array, size: number): Promise<Uint8Array> {
  const { ZSTDDecoder } = await import('zstddec');
  const decoder = new ZSTDDecoder();
  await decoder.init();
  return decoder.decode(packed, size);
}

async function bunzip2(packed: Uint8Array, size: number): Promise<Uint8Array> {
  const { default: Bzip2 } = await import('@foxglove/wasm-bz2');
  return (await Bzip2.init()).decompress(packed, size);
}

const gunzip = (packed: Uint8Array, size: number): Uint8Array => gunzipSync(packed, { maxOutputLength: size });

async function run(codec: Codec, packed: Uint8Array, size: number): Promise<Uint8Array> {
  switch (codec) {
    case 'zstd':
      return unzstd(packed, size);
    case 'gzip':
      return gunzip(packed, size);
    case 'lz4':
      return decodeLz4Legacy(packed, size);
    case 'xz':
      return decodeXz(packed, size);
    case 'lzma':
      return decodeLzmaAlone(packed, size);
    case 'bzip2':
      return bunzip2(packed, size);
    case 'lzo':
      throw new ImageFault(unsupported(`a payload packed with ${codec}: zstd, gzip, lz4, xz, bzip2 and lzma are read`));
  }
}

/**
 * Unpacks a payload to exactly `size` bytes. A codec's own complaint becomes `image.malformed`; nothing is allocated beyond
 * {@link UNPACKED_MAX} whatever the payload declares.
 */
export async function decompress(codec: Codec, packed: Uint8Array, size: number): Promise<Result<Uint8Array>> {
  const structure = `${codec} payload`;
  try {
    if (size === 0 || size > UNPACKED_MAX) refuse(structure, packed.length, `declares ${size} bytes unpacked`);
    const unpacked = await run(codec, packed, size);
    if (unpacked.length !== size) refuse(structure, 0, `does not unpack to the ${size} bytes it declares`);
    return ok(unpacked);
  } catch (error) {
    if (error instanceof ImageFault) return err(error.fault);
    const why = error instanceof Error ? error.message : String(error);
    return err(malformed(structure, 0, why.split('\n', 1)[0] ?? why));
  }
}
