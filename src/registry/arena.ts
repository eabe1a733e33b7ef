import { invariant } from '../base/index.ts';
import type { GracePeriod } from './text-op.ts';
import type { Txn } from './txn.ts';

/** Generated code starts at chunk boundaries, as in bpf_prog_pack (BPF_PROG_CHUNK_SIZE, kernel/bpf/core.c 6.12). */
const CHUNK_SIZE = 64;

const roundUp = (size: number, to: number): number => Math.ceil(size / to) * to;

/**
 * Takes room for `size` bytes of generated code. The bytes depend on where they will live, so they are made by `generate` once that is known.
 * Kprobe slots are 16 bytes apart (MAX_INSN_SIZE and an int3), everything else is in chunks of 64.
 */
export function install(
  txn: Txn,
  request: {
    readonly size: number;
    readonly what: string;
    readonly attachment?: string | undefined;
    readonly counter?: bigint;
  },
  generate: (at: number) => Uint8Array,
): number {
  const rounded = request.size <= 16 ? 16 : roundUp(request.size, CHUNK_SIZE);
  const free = txn.arena.free.get(rounded) ?? [];
  const at = free.at(-1) ?? roundUp(txn.arena.next, Math.min(rounded, CHUNK_SIZE));
  if (free.length > 0) txn.arena.free.set(rounded, free.slice(0, -1));
  else txn.arena = { ...txn.arena, next: at + rounded };
  const bytes = generate(at);
  invariant(
    bytes.length <= rounded,
    () => `${request.what}: generated ${bytes.length} bytes, took room for ${rounded}`,
  );
  txn.arena.allocations.set(at, {
    at,
    size: rounded,
    bytes,
    what: request.what,
    attachment: request.attachment,
    counter: request.counter,
  });
  txn.emit({ kind: 'install', at, bytes, what: request.what });
  return at;
}

/** Gives the room back after the grace periods; the bytes become int3 again. */
export function remove(txn: Txn, at: number, after: readonly GracePeriod[]): void {
  const allocation = txn.arena.allocations.get(at);
  invariant(allocation !== undefined, () => `nothing generated at _text+0x${at.toString(16)}`);
  txn.emit({ kind: 'remove', at, expected: allocation.bytes, what: allocation.what, after });
  txn.arena.allocations.delete(at);
  txn.arena.free.set(allocation.size, [...(txn.arena.free.get(allocation.size) ?? []), at]);
}

/** An address for a data object (a struct ftrace_ops, a counter) outside text. */
export function dataObject(txn: Txn, size: number): bigint {
  const at = txn.arena.nextData;
  txn.arena = { ...txn.arena, nextData: at + BigInt(roundUp(size, 8)) };
  return at;
}
