import { type Result, startWorker } from '../../base/index.ts';
import type { LoadProgress } from '../kernel-image.ts';
import type { BuildInput } from './build-image.ts';

/** Below this, the built-in kernel for example, starting a thread takes longer than the work. */
const INLINE_MAX = 1 << 20;

export type FromWorker =
  | { readonly kind: 'progress'; readonly progress: LoadProgress }
  | { readonly kind: 'result'; readonly result: Result<Uint8Array<ArrayBuffer>> };

/** Its own buffer, so that it can be handed over: small reads share a pool. */
const owned = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer
    ? (bytes as Uint8Array<ArrayBuffer>)
    : bytes.slice();

function inWorker(input: BuildInput): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const file = owned(input.file);
  const { sha256, profile } = input;
  return new Promise((resolve, reject) => {
    const worker = startWorker(import.meta.url, './build-worker', {
      workerData: { file, sha256, profile },
      transferList: [file.buffer],
    });
    let result: Result<Uint8Array<ArrayBuffer>> | undefined;
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'progress') input.onProgress(message.progress);
      else result = message.result;
    });
    worker.on('error', reject);
    worker.on('exit', (code) => {
      if (result === undefined) reject(new Error(`the loading thread ended with code ${code} and no image`));
      else resolve(result);
    });
  });
}

/**
 * As buildImage, in a thread of its own for files of real size: the unpacked kernel and the decoder's memory, about 150 MiB, are gone when it
 * ends. `input.file` is handed over and must not be used afterwards.
 */
export async function buildInWorker(input: BuildInput): Promise<Result<Uint8Array<ArrayBuffer>>> {
  if (input.file.length >= INLINE_MAX) return inWorker(input);
  // Not imported before, so that a start from the cache does without the reader.
  const { buildImage } = await import('./build-image.ts');
  return buildImage(input);
}
