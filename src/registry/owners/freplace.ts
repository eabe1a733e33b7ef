import { err, type Fault, invariant, ok, type Result } from '../../base/index.ts';
import { linkExtension, unlinkExtension } from '../bpf/extension.ts';
import { checkExtension, checkProgramTarget, type ProgramTarget } from '../bpf/program-target.ts';
import { attachProg, dropProgram } from '../bpf/programs.ts';
import { trampolineSite } from '../bpf/text-poke.ts';
import type { Attachment, BpfExtension, BpfProgram } from '../model/state.ts';
import { FREPLACE_KERNEL, FREPLACE_PROTOTYPE } from '../rules/bpf-program.ts';
import { refuse } from '../rules/rule.ts';
import { trampolineAt } from '../site-view.ts';
import type { Txn } from '../txn.ts';
import { loadCountingProgram } from './bpf-tracing.ts';
import type { Attached, Owner } from './owner.ts';

function detach(txn: Txn, attachment: Attachment): Fault | undefined {
  const trampoline = trampolineAt(txn, attachment.sites[0] as number);
  invariant(trampoline?.extension?.attachment === attachment.id, () => `${attachment.id} replaces nothing`);
  const fault = unlinkExtension(txn, trampoline.func);
  if (fault !== undefined) return fault;
  if (txn.bpfProgs.has(attachment.id)) dropProgram(txn, attachment.id);
  return undefined;
}

/** The loaded program when it fits, or a counting program of the attachment's own; either sleeps where its target may. */
function extensionOf(
  txn: Txn,
  attachment: string,
  program: BpfProgram | undefined,
  { program: target, programFunction }: ProgramTarget,
): Result<BpfExtension> {
  const { isSleepable } = target;
  if (program === undefined) {
    const counting = { id: attachment, type: 'ext' as const, attachType: undefined, tracesTracing: false, isSleepable };
    const { at: entry } = loadCountingProgram(txn, counting, programFunction.args);
    return ok({ attachment, program: attachment, entry });
  }
  const main = program.functions?.[0];
  if (main === undefined || program.image === undefined) {
    const detail = `${program.id} came without BTF, which an extension needs.`;
    return err(refuse(FREPLACE_PROTOTYPE, { detail, place: `prog:${target.id}` }));
  }
  const fits = checkExtension(main, programFunction);
  if (!fits.ok) return fits;
  attachProg(txn, program.id, { isSleepable });
  return ok({ attachment, program: program.id, entry: program.image.at });
}

/**
 * BPF_PROG_TYPE_EXT: runs in the place of a function of another BPF program, with its parameters.
 * Source: kernel/bpf/syscall.c bpf_tracing_prog_attach, kernel/bpf/trampoline.c (6.12; 6.1 alike).
 */
export const freplaceOwner: Owner = {
  kind: 'freplace',
  options: {},
  takes: ['program'],
  attach(txn, { target, identity, program }): Result<Attached> {
    if (target.kind !== 'program') {
      const text = target.kind === 'place' ? target.text : '';
      return err(refuse(FREPLACE_KERNEL, { detail: `${text} is not a BPF program.`, place: text }));
    }
    const found = checkProgramTarget(txn, target.program, { kind: 'freplace', sleepable: false });
    if (!found.ok) return found;
    const extension = extensionOf(txn, identity.id, program, found.value);
    if (!extension.ok) return extension;
    const fault = linkExtension(txn, found.value, extension.value);
    if (fault !== undefined) return err(fault);
    const owned = program === undefined ? [extension.value.entry] : [];
    return ok({ sites: [trampolineSite(txn, found.value.func)], owned });
  },
  detach,
};
