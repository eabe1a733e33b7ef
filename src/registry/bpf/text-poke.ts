/** Where a trampoline's call goes, and the compare-and-write for functions that ftrace does not manage. */
import { bytesEqual, type Fault, toHex } from '../../base/index.ts';
import { callRel32, ENDBR_INSN_SIZE, isEndbr, jmpRel32, NOP5 } from '../../insn/index.ts';
import type { BpfTrampoline } from '../model/state.ts';
import { BPF_NOT_PATCHABLE } from '../rules/bpf.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation } from '../world.ts';

/** Where the call goes when ftrace does not manage the function: behind an ENDBR. */
export function pokeSite(txn: Txn, func: number): number {
  const isBehind = txn.text.contains(func, ENDBR_INSN_SIZE) && isEndbr(txn.text.bytes(func, ENDBR_INSN_SIZE));
  return isBehind ? func + ENDBR_INSN_SIZE : func;
}

/** The place in text that the function's trampoline changes. */
export function trampolineSite(txn: Txn, func: number): number {
  return ftraceLocation(txn.world, func) ?? pokeSite(txn, func);
}

/** BPF_MOD_CALL or BPF_MOD_JUMP to `target`; the NOP that both begin as. */
export function pokedBytes(kind: 'call' | 'jump', at: number, target: number | undefined): Uint8Array {
  if (target === undefined) return NOP5;
  return kind === 'call' ? callRel32(at, target) : jmpRel32(at, target);
}

/**
 * bpf_arch_text_poke: compare, then write; the seed's "hold text_mutex and be sure it is a NOP". Core kernel text and BPF programs only.
 * Source: arch/x86/net/bpf_jit_comp.c __bpf_arch_text_poke (6.12; 6.1 alike).
 */
export function archTextPoke(
  txn: Txn,
  { func, program }: Pick<BpfTrampoline, 'func' | 'program'>,
  kind: 'call' | 'jump',
  from: number | undefined,
  to: number | undefined,
): Fault | undefined {
  const at = pokeSite(txn, func);
  const expected = pokedBytes(kind, at, from);
  const place = txn.place(at);
  const { coreText } = txn.world;
  if (program === undefined && (at < coreText.start || at >= coreText.end))
    return refuse(BPF_NOT_PATCHABLE, { errno: 'EINVAL', detail: `${place} is not core kernel text.`, place });
  if (!txn.text.contains(at, 5) || !bytesEqual(txn.text.bytes(at, 5), expected))
    return refuse(BPF_NOT_PATCHABLE, {
      detail: `${place} has no ftrace site, and no five-byte NOP is there to be replaced.`,
      place,
      expected: toHex(expected),
      actual: txn.text.contains(at, 5) ? toHex(txn.text.bytes(at, 5)) : '',
    });
  txn.emit({ kind: 'poke', at, expected, bytes: pokedBytes(kind, at, to), what: 'bpf_arch_text_poke' });
  return undefined;
}
