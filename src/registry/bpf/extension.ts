/** freplace: another program runs in the place of a function of a BPF program. */
import type { Fault } from '../../base/index.ts';
import type { BpfExtension } from '../model/state.ts';
import { BPF_EXTENSION_EXCLUSIVE, FREPLACE_PROG_ARRAY } from '../rules/bpf-program.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { extensionFault } from './extension-fault.ts';
import type { ProgramTarget } from './program-target.ts';
import { archTextPoke, trampolineSite } from './text-poke.ts';
import { allLinks, dropTrampoline, trampolineFor } from './trampoline.ts';

/**
 * __bpf_trampoline_link_prog of a BPF_PROG_TYPE_EXT.
 *   1. Alone: no other extension, no fentry or fexit.
 *   2. The target is in no tail-call map, and may not enter one from now on.
 *   3. The NOP at the function's entry becomes a jump; there is no trampoline.
 */
export function linkExtension(txn: Txn, target: ProgramTarget, extension: BpfExtension): Fault | undefined {
  const trampoline = trampolineFor(txn, target, 'linux');
  const exclusive = extensionFault(txn, trampoline);
  if (exclusive !== undefined) return exclusive;
  const links = allLinks(trampoline);
  if (links.length > 0)
    return refuse(BPF_EXTENSION_EXCLUSIVE, {
      detail: `${target.name} has ${links.length} tracing programs.`,
      place: target.name,
      holders: txn.holders(links.map((each) => each.attachment)),
    });
  if (target.program.arrayMembers > 0)
    return refuse(FREPLACE_PROG_ARRAY, { detail: `${target.name} is in a tail-call map.`, place: target.name });
  txn.bpfProgs.set(target.program.id, { ...target.program, isExtended: true });
  txn.trampolines.set(target.func, { ...trampoline, extension });
  txn.touched.add(trampolineSite(txn, target.func));
  return archTextPoke(txn, trampoline, 'jump', undefined, extension.entry);
}

/** __bpf_trampoline_unlink_prog. */
export function unlinkExtension(txn: Txn, func: number): Fault | undefined {
  const trampoline = txn.trampoline(func);
  const fault = archTextPoke(txn, trampoline, 'jump', trampoline.extension?.entry, undefined);
  if (fault !== undefined) return fault;
  const program = trampoline.program === undefined ? undefined : txn.bpfProgs.get(trampoline.program);
  if (program !== undefined) txn.bpfProgs.set(program.id, { ...program, isExtended: false });
  dropTrampoline(txn, trampoline);
  return undefined;
}
