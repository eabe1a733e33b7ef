import type { Fault } from '../../base/index.ts';
import type { BpfTrampoline } from '../model/state.ts';
import { BPF_EXTENSION_EXCLUSIVE } from '../rules/bpf-program.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';

/** Whoever comes to a function that has an extension is refused, another extension as well. */
export function extensionFault(txn: Txn, { extension, program }: BpfTrampoline): Fault | undefined {
  if (extension === undefined) return undefined;
  return refuse(BPF_EXTENSION_EXCLUSIVE, {
    detail: `A function of prog:${program} has a freplace program.`,
    place: `prog:${program}`,
    holders: txn.holders([extension.attachment]),
  });
}
