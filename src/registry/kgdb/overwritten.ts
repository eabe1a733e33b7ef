import type { TextOp } from '../text-op.ts';
import type { Txn } from '../txn.ts';

/** kgdb does not hear of it when somebody writes over its int3: the breakpoint stays on its list, and its owner is never called. */
function writtenOver(txn: Txn, at: number, length: number): void {
  for (let addr = at; addr < at + length; addr++) {
    const breakpoint = txn.kgdb.get(addr);
    if (breakpoint === undefined) continue;
    const byte = txn.text.u8(addr);
    if (breakpoint.attachment !== undefined) txn.kgdb.set(addr, { ...breakpoint, isPresent: byte === 0xcc });
    else txn.kgdb.delete(addr);
  }
}

/** Called after every change of text, while there are breakpoints. */
export function noteOverwritten(txn: Txn, op: TextOp): void {
  if (op.kind === 'batch') for (const { at, bytes } of op.changes) writtenOver(txn, at, bytes.length);
  else if (op.kind === 'byte' || op.kind === 'poke') writtenOver(txn, op.at, op.bytes.length);
}
