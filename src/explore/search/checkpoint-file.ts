import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { CheckpointError, type ExhaustiveCheckpoint } from './exhaustive.ts';

const FORMAT = 'ktextd explore 1';
const LISTS = ['parents', 'stepsTaken', 'waiting'] as const;
/** Most of the bytes are zeroes; more effort makes a file little smaller and takes much longer. */
const EFFORT = 1;

type Lists = Pick<ExhaustiveCheckpoint, (typeof LISTS)[number]>;

interface Head {
  readonly format: string;
  /** SHA-256 of what was asked. */
  readonly of: string;
  readonly rest: Omit<ExhaustiveCheckpoint, keyof Lists>;
  readonly lengths: Readonly<Record<keyof Lists, number>>;
}

const digestOf = (asked: unknown): string => createHash('sha256').update(JSON.stringify(asked)).digest('hex');

/**
 * A checkpoint as a file: gzip, whose checksum tells a damaged one, over one line of JSON and the lists as 32-bit numbers, least significant
 * byte first.
 *
 * @param asked what is explored and how, as plain data: only the same can go on from it
 */
export function encodeCheckpoint(asked: unknown, checkpoint: ExhaustiveCheckpoint): Buffer {
  const { parents, stepsTaken, waiting, ...rest } = checkpoint;
  const lists: Lists = { parents, stepsTaken, waiting };
  const lengths = { parents: parents.length, stepsTaken: stepsTaken.length, waiting: waiting.length };
  const head: Head = { format: FORMAT, of: digestOf(asked), rest, lengths };
  const parts = LISTS.map((name) => bytesOf(lists[name]));
  return gzipSync(Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...parts]), { level: EFFORT });
}

/** Throws {@link CheckpointError} for anything that is not a whole checkpoint of what is asked. */
export function decodeCheckpoint(asked: unknown, file: Uint8Array): ExhaustiveCheckpoint {
  const bytes = unpacked(file);
  const end = bytes.indexOf(0x0a);
  const head = headOf(bytes.subarray(0, Math.max(0, end)));
  if (head.format !== FORMAT || head.of !== digestOf(asked)) throw new CheckpointError();
  let at = end + 1;
  const next = (name: keyof Lists): Int32Array => {
    const list = wordsOf(bytes, at, head.lengths[name]);
    at += 4 * list.length;
    return list;
  };
  const [parents, stepsTaken, waiting] = [next('parents'), next('stepsTaken'), next('waiting')];
  if (at !== bytes.length) throw new CheckpointError();
  return { ...head.rest, parents, stepsTaken, waiting };
}

function unpacked(file: Uint8Array): Buffer {
  try {
    return gunzipSync(file);
  } catch {
    throw new CheckpointError();
  }
}

function headOf(line: Buffer): Head {
  try {
    return (JSON.parse(line.toString('utf8')) ?? {}) as Head;
  } catch {
    throw new CheckpointError();
  }
}

function bytesOf(list: Int32Array): Buffer {
  const bytes = Buffer.alloc(4 * list.length);
  for (const [i, word] of list.entries()) bytes.writeInt32LE(word, 4 * i);
  return bytes;
}

function wordsOf(bytes: Buffer, at: number, length: number): Int32Array {
  if (!(length >= 0 && at + 4 * length <= bytes.length)) throw new CheckpointError();
  return Int32Array.from({ length }, (_, i) => bytes.readInt32LE(at + 4 * i));
}
