/** One request that each rule of transitions and tasks refuses. */
import assert from 'node:assert/strict';
import type { Fault } from '../../src/base/index.ts';
import { decideNewTask } from '../../src/registry/index.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

const F = 'tcp_set_state';

function faultOf(outcome: { readonly kind: string; readonly fault?: Fault }): Fault {
  assert.ok(outcome.kind === 'refused' && outcome.fault !== undefined);
  return outcome.fault;
}

/** A patch that waits for a task in F. */
function stalled(lab: RegistryLab): string {
  lab.task([F]);
  return lab.attach('livepatch', F, {}, 'patcher').id;
}

function newTask(lab: RegistryLab, stack: readonly string[]): Fault {
  const identity = { id: 'task_x', client: 'test', tenant: 'default', nowMs: 0 };
  const input = { request: { name: 'x', kind: 'user' as const, stack }, identity };
  return faultOf(decideNewTask(lab.world, lab.state, lab.text, input).outcome);
}

export const LIVEPATCH_CASES: Readonly<Record<string, RuleCase>> = {
  'livepatch.transition.in-progress': {
    refuse: (lab) => {
      stalled(lab);
      return lab.refused('livepatch', 'vfs_read');
    },
    holders: ['patcher'],
  },
  'livepatch.transition.none': {
    refuse: (lab) => faultOf(lab.force(lab.attach('livepatch', F).id).outcome),
  },
  'livepatch.patch.same-state': {
    refuse: (lab) => faultOf(lab.setEnabled(lab.attach('livepatch', F).id, true).outcome),
  },
  'livepatch.function.twice': { refuse: (lab) => lab.refused('livepatch', [F, F]) },
  'livepatch.module.in-use': {
    refuse: (lab) => faultOf(lab.detach(stalled(lab)).outcome),
    holders: ['patcher'],
  },
  'livepatch.module.forced': {
    refuse: (lab) => {
      const { id } = lab.attach('livepatch', F);
      lab.task([F]);
      lab.setEnabled(id, false);
      lab.force(id);
      lab.attempts(1);
      return faultOf(lab.detach(id).outcome);
    },
  },
  'task.unknown': { refuse: (lab) => faultOf(lab.endTask('task_none').outcome) },
  'task.stack.place': { refuse: (lab) => newTask(lab, ['vfs_read', 'no_such_function']) },
  'task.limit': {
    refuse: (lab) => {
      for (let i = 0; i < 1_000; i++) lab.task([]);
      return newTask(lab, []);
    },
  },
};
