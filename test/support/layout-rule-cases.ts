/** Attachments that a trampoline's layout refuses, on the built-in kernel. */
import assert from 'node:assert/strict';
import { toHex } from '../../src/base/index.ts';
import { assembleBpf } from '../../src/jit/index.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

const F = 'tcp_set_state';
/** Seven argument words, the last on the stack. */
const SEVEN_WORDS = 'bpf_modify_return_test2';

export const bytecodeOf = (source: string): string => {
  const bytes = assembleBpf(source);
  assert.ok(bytes.ok, source);
  return toHex(bytes.value);
};

/** As if a verifier had passed it: what a layout cannot do, no verified program may do with an unknown context. */
export function loadedFentry(lab: RegistryLab, source: string): string {
  const bytecode = bytecodeOf(source);
  const functions = 1 + [...source.matchAll(/call local/g)].length;
  const verified = { code: bytecode, stackDepths: Array.from({ length: functions }, () => 0) };
  const { outcome } = lab.loadProgram({ type: 'fentry', bytecode, verified });
  assert.equal(outcome.kind, 'granted');
  return (outcome as Extract<typeof outcome, { kind: 'granted' }>).program.id;
}

export const refusedLayout =
  (layout: string, source: string, target = F) =>
  (lab: RegistryLab) =>
    lab.refused('fentry', target, { layout }, 'test', loadedFentry(lab, source));

export const LAYOUT_CASES: Readonly<Record<string, RuleCase>> = {
  'bpf.trampoline.layout-kind': { refuse: (lab) => lab.refused('fexit', F, { layout: 'frame' }) },
  'bpf.trampoline.args': { refuse: (lab) => lab.refused('fentry', SEVEN_WORDS, { layout: 'seed' }) },
  'bpf.direct.context': { refuse: refusedLayout('frame', 'ldxdw %r0, [%r1+16]\nexit') },
  'bpf.direct.ambiguous': {
    refuse: refusedLayout('frame', 'ldxdw %r2, [%r1]\njeq %r2, 0, +1\nmov %r1, %r10\nldxdw %r0, [%r1]\nexit'),
  },
  'bpf.direct.address': {
    refuse: refusedLayout('frame', 'call local f\nexit\nf: ldxdw %r0, [%r1]\nexit', SEVEN_WORDS),
  },
};
