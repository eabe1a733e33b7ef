import type { OwnedBytes } from '../attribution.ts';
import type { Txn } from '../txn.ts';
import { floorIndex } from '../world.ts';

/** What a breakpoint has in text: its int3, or the byte that it left behind; undefined when somebody wrote over it. */
function standing(txn: Txn, addr: number): number | undefined {
  const breakpoint = txn.kgdb.get(addr);
  if (breakpoint === undefined) return undefined;
  if (breakpoint.attachment === undefined) return breakpoint.saved;
  return breakpoint.isPresent ? 0xcc : undefined;
}

/** Other owners' pieces as breakpoints changed them, then the breakpoints that stand alone. */
export function* withBreakpoints(txn: Txn, pieces: Iterable<OwnedBytes>): Generator<OwnedBytes> {
  if (txn.kgdb.size === 0) {
    yield* pieces;
    return;
  }
  const alone = new Set(txn.kgdb.keys());
  const addresses = Uint32Array.from(alone).sort();
  for (const piece of pieces) {
    const bytes = piece.bytes.slice();
    const from = floorIndex(addresses, piece.at - 1) + 1;
    for (const addr of addresses.subarray(from, floorIndex(addresses, piece.at + bytes.length - 1) + 1)) {
      alone.delete(addr);
      const byte = standing(txn, addr);
      if (byte !== undefined) bytes[addr - piece.at] = byte;
    }
    yield { ...piece, bytes };
  }
  for (const addr of alone) {
    const byte = standing(txn, addr);
    const attachment = txn.kgdb.get(addr)?.attachment;
    if (byte !== undefined)
      yield {
        at: addr,
        bytes: Uint8Array.of(byte),
        what: 'kgdb',
        owners: attachment === undefined ? [] : [attachment],
      };
  }
}
