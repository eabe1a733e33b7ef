import { callRel32, jccRel32, jmpRel32, NOP5 } from '../../insn/index.ts';
import type { RawKernel } from '../raw-kernel.ts';
import { entriesOf, relative, tableBetween } from '../tables/table-bytes.ts';
import type { CallThunks } from './call-thunks.ts';
import type { BootContext } from './context.ts';
import { hasFeature } from './hidden-features.ts';
import { readPointer, symbolAt } from './kernel-memory.ts';
import { RET_INSN, returnAt, TRAMP_UD } from './return-sites.ts';
import type { CallUpdates } from './static-call-updates.ts';

/** struct static_call_site: s32 addr, s32 key; bit 0 of the key: tail call. */
const ENTRY_SIZE = 8;
const XOR5RAX = Uint8Array.of(0x2e, 0x2e, 0x2e, 0x31, 0xc0);

interface Site {
  readonly site: number;
  readonly key: number;
  readonly isTail: boolean;
}

/** `.static_call_sites` in its order; keys as they are named there, which in a module may be the trampoline. */
export function readCallSites(kernel: RawKernel): readonly Site[] {
  const table = tableBetween(kernel, '.static_call_sites', '__start_static_call_sites', '__stop_static_call_sites');
  if (table === undefined) return [];
  return Array.from({ length: entriesOf(table, ENTRY_SIZE) }, (_, i) => {
    const at = i * ENTRY_SIZE;
    const key = relative(table, at + 4);
    return { site: relative(table, at), key: key - (((key % 4) + 4) % 4), isTail: ((key % 2) + 2) % 2 === 1 };
  });
}

interface Transform {
  readonly boot: BootContext;
  readonly thunks: CallThunks;
  /** False when the instruction was written before the mitigations were known. */
  readonly knowsRethunk: boolean;
}

/** The instruction of a site or, with `isTail`, of a trampoline (__static_call_transform, arch/x86/kernel/static_call.c). */
function transformed(
  { boot, thunks, knowsRethunk }: Transform,
  at: number,
  target: number | null,
  isTail: boolean,
): Uint8Array {
  const { kernel, text } = boot;
  const first = text.view(at, 2);
  if (isTail && first[0] === 0x0f && ((first[1] ?? 0) & 0xf0) === 0x80) {
    const thunk = kernel.symbolOffset(boot.mitigations.returnThunk ?? '__x86_return_thunk');
    const plain = kernel.symbolOffset('__static_call_return');
    const nowhere = knowsRethunk && hasFeature(kernel, boot.caps, 'RETHUNK') ? thunk : plain;
    return jccRel32((first[1] ?? 0) & 0xf, at, target ?? nowhere ?? at + 6);
  }
  if (target === null) {
    if (!isTail) return NOP5;
    return knowsRethunk ? returnAt(boot, at) : RET_INSN;
  }
  if (isTail) return jmpRel32(at, target);
  // Linux compares after the translation: with call depth tracking even a constant 0 is called.
  const destination = thunks.translate(target);
  return destination === kernel.symbolOffset('__static_call_return0') ? XOR5RAX : callRel32(at, destination);
}

/**
 * Every inline site calls what its key names after boot; trampolines change where boot updates the key.
 *
 * static_call_init and the updates to NULL run before the mitigations are known: the returns that they write stay plain, whatever the return
 * thunk, except that static_call_force_reinit (6.12) has the sites, not the trampolines, written once more.
 */
export function patchStaticCalls(
  boot: BootContext,
  updates: CallUpdates,
  thunks: CallThunks,
  knowsRethunk = boot.kernel.symbolOffset('static_call_force_reinit') !== undefined,
): void {
  const { kernel, text } = boot;
  for (const { site, key, isTail } of readCallSites(kernel)) {
    if (!text.has(site, 6)) continue;
    const update = updates.get(key);
    const target = update === undefined ? readPointer(kernel, key) : update;
    if (target === undefined) continue;
    text.write(site, transformed({ boot, thunks, knowsRethunk }, site, target, isTail));
    boot.report.count('static call');
  }
  for (const [key, target] of updates) {
    if (readPointer(kernel, key) === target) continue;
    const name = symbolAt(kernel, key);
    const trampoline = name?.startsWith('__SCK__')
      ? kernel.symbolOffset(name.replace('__SCK__', '__SCT__'))
      : undefined;
    if (trampoline === undefined || !text.has(trampoline, 8)) continue;
    if (!text.view(trampoline + 5, 3).every((byte, i) => byte === TRAMP_UD[i])) continue;
    text.write(trampoline, transformed({ boot, thunks, knowsRethunk: false }, trampoline, target, true));
    boot.report.count('static call trampoline');
  }
}
