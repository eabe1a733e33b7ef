/** Files of the kernel and sysctls that the rules refuse, on the built-in kernel. */
import assert from 'node:assert/strict';
import type { Fault } from '../../src/base/index.ts';
import { kernelView } from '../../src/registry/index.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

const F = 'tcp_set_state';

function faultOf(outcome: ReturnType<RegistryLab['sysctl']>['outcome']): Fault {
  assert.equal(outcome.kind, 'refused');
  return (outcome as Extract<typeof outcome, { kind: 'refused' }>).fault;
}

export const VIEW_CASES: Readonly<Record<string, RuleCase>> = {
  'ftrace.off.permanent': {
    refuse: (lab) => {
      assert.equal(lab.sysctl('kernel.ftrace_enabled', 0).outcome.kind, 'granted');
      return lab.refused('livepatch', F);
    },
  },
  'sysctl.ftrace-enabled.permanent': {
    refuse: (lab) => {
      lab.attach('livepatch', F, {}, 'patcher');
      return faultOf(lab.sysctl('kernel.ftrace_enabled', 0).outcome);
    },
    holders: ['patcher'],
  },
  'sysctl.unknown': { refuse: (lab) => faultOf(lab.sysctl('kernel.ftrace', 0).outcome) },
  'sysctl.value.invalid': { refuse: (lab) => faultOf(lab.sysctl('debug.kprobes-optimization', 2).outcome) },
  'view.unknown': {
    refuse: (lab) => {
      const view = kernelView(lab.view(), 'tracing/no_such');
      assert.ok(!view.ok);
      return view.fault;
    },
  },
};
