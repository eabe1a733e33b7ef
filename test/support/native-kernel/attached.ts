import { decodeInsn } from '../../../src/insn/index.ts';
import { type CallArgument, type CallOutcome, type Machine, textDelta } from '../../../src/machine/index.ts';
import { describeRuntime, type KernelState, type OwnerKind } from '../../../src/registry/index.ts';
import type { RegistryLab } from '../registry-lab.ts';

const AT_ENTRY: readonly (readonly [OwnerKind, Readonly<Record<string, unknown>>])[] = [
  ['fentry', {}],
  ['fexit', {}],
  ['kprobe', {}],
  ['kretprobe', {}],
  ['ftrace', { saveRegs: true }],
];
const BODY_MAX = 64;

/** Instructions behind the function's entry, until the first that can be probed and is reached whatever the arguments are. */
function attachInBody(lab: RegistryLab, name: string): string | undefined {
  const start = lab.at(name);
  const size = Math.min(lab.world.image.symbols.byName(name)[0]?.size ?? 0, BODY_MAX);
  for (let at = start; at < start + size; ) {
    const insn = decodeInsn(lab.world.pristine.bytes(at, 15), at);
    if (insn === undefined || insn.flow !== 'next') return undefined;
    at += insn.length;
    if (at < start + 9) continue;
    const { outcome } = lab.decide({ kind: 'kprobe', target: `${name}+${at - start}`, options: {} });
    if (outcome.kind === 'granted') return outcome.attachment.id;
  }
  return undefined;
}

export interface Attached {
  /** Each of them has to fire in a call. */
  readonly ids: readonly string[];
  call(args: readonly CallArgument[], traceMax?: number): CallOutcome;
}

let version = 1_000_000;

/** Attaches what the function takes of each kind: programs, probes and a tracer at its entry and return, and a probe in its body. */
export function attachAll(lab: RegistryLab, pristine: KernelState, machine: Machine, name: string): Attached {
  lab.restart(pristine);
  const ids: string[] = [];
  for (const [kind, options] of AT_ENTRY) {
    const { outcome } = lab.decide({ kind, target: name, options });
    if (outcome.kind === 'granted') ids.push(outcome.attachment.id);
  }
  const body = attachInBody(lab, name);
  if (body !== undefined) ids.push(body);
  version += 1;
  const state = {
    version,
    delta: textDelta(lab.text, lab.text.changedRanges()),
    runtime: describeRuntime(lab.world, lab.state, lab.text),
  };
  const address = lab.world.image.base + BigInt(lab.at(name));
  return {
    ids,
    call: (args, traceMax = 0) =>
      machine.call(state, { function: address, args, cpu: 0, maxInstructions: 1_000_000, maxMs: 10_000, traceMax }),
  };
}
