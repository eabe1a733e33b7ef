/** All CO-RE relocations of an object, answered in the order of the file: each narrows down which types of the kernel the next may mean. */
import type { Btf } from '../../image/index.ts';
import { BPF_INSN_SIZE } from '../bpf/index.ts';
import { BTF_EXT_SECTION, type CoreRelocation } from './btf-ext.ts';
import { CoreBudget, type CoreContext, CoreProblem, type CoreResult, resolveCore } from './core/index.ts';
import { functionAt, type ObjectFunction } from './functions.ts';
import { type ObjectPlace, refuse } from './object-fault.ts';
import type { OpenedObject } from './open-object.ts';

export interface CoreAnswer {
  /** In its function. */
  readonly slot: number;
  /** Its record. */
  readonly place: ObjectPlace;
  /** A problem is one only for who links the function. */
  readonly result: CoreResult | { readonly problem: CoreProblem };
}

export interface CoreAnswers {
  of(fn: ObjectFunction): readonly CoreAnswer[];
}

function answer(context: CoreContext, relocation: CoreRelocation): CoreAnswer['result'] {
  try {
    return resolveCore(context, relocation);
  } catch (error) {
    if (error instanceof CoreProblem) return { problem: error };
    throw error;
  }
}

export function answerCore({ file, btf, ext, functions }: OpenedObject, target: Btf | undefined): CoreAnswers {
  const context: CoreContext = { local: btf, target, candidates: new Map(), budget: new CoreBudget() };
  const answers = new Map<ObjectFunction, CoreAnswer[]>();
  for (const [name, relocations] of ext.relocations) {
    const section = file.sections.find((each) => each.name === name);
    if (section === undefined) continue;
    for (const relocation of relocations) {
      const { offset, at } = relocation;
      if (offset % BPF_INSN_SIZE !== 0) refuse(BTF_EXT_SECTION, at, `it is about ${name} inside an instruction`);
      const slot = offset / BPF_INSN_SIZE;
      const fn = functionAt(functions, section.index, slot);
      // Of a weak function that another one replaced, only such records are left.
      if (fn === undefined) continue;
      const list = answers.get(fn) ?? [];
      answers.set(fn, list);
      const place = { section: BTF_EXT_SECTION, offset: at };
      list.push({ slot: slot - fn.start, place, result: answer(context, relocation) });
    }
  }
  return { of: (fn) => answers.get(fn) ?? [] };
}
