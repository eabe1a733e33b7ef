/** One request that each rule of programs on programs refuses. */
import assert from 'node:assert/strict';
import type { Fault } from '../../src/base/index.ts';
import { checkExtension, decideNewTask } from '../../src/registry/index.ts';
import { loadTestProgram, type TestProgram } from './bpf-programs.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

const F = 'tcp_set_state';

function freplaced(lab: RegistryLab, target: string, program: TestProgram = {}): Fault {
  loadTestProgram(lab, 'p', program);
  return lab.refused('freplace', target);
}

function differing(): Fault {
  const done = checkExtension({ name: 'repl', args: ['int', 'int'] }, { name: 'sub', args: ['int'] });
  assert.ok(!done.ok);
  return done.fault;
}

export const BPF_PROG_CASES: Readonly<Record<string, RuleCase>> = {
  'bpf.program.unknown': { refuse: (lab) => lab.refused('fentry', 'prog:none') },
  'bpf.program.no-function': { refuse: (lab) => freplaced(lab, 'prog:p:none') },
  'bpf.program.no-btf': { refuse: (lab) => freplaced(lab, 'prog:p', { hasBtf: false }) },
  'bpf.program.func-info': {
    refuse: (lab) => {
      const functions = [{ name: 'main', args: ['ctx' as const], isGlobal: true }];
      const bytecode = `85100000010000009500000000000000${'b7000000000000009500000000000000'}`;
      const { outcome } = lab.loadProgram({ type: 'fentry', bytecode, functions });
      assert.ok(outcome.kind === 'refused');
      return outcome.fault;
    },
  },
  'bpf.program.recursive': { refuse: (lab) => freplaced(lab, 'prog:p', { type: 'ext' }) },
  'bpf.program.nested': {
    refuse: (lab) => {
      const inner = lab.attach('fentry', F).id;
      const outer = lab.attach('fentry', `prog:${inner}`).id;
      return lab.refused('fexit', `prog:${outer}`);
    },
  },
  'bpf.freplace.tracing-target': { refuse: (lab) => lab.refused('freplace', `prog:${lab.attach('fexit', F).id}`) },
  'bpf.freplace.kernel-function': { refuse: (lab) => lab.refused('freplace', F) },
  'bpf.freplace.static-function': { refuse: (lab) => freplaced(lab, 'prog:p:sub', { isGlobal: false }) },
  'bpf.freplace.prototype': { refuse: differing },
  'bpf.fmod-ret.program-target': {
    refuse: (lab) => {
      loadTestProgram(lab, 'p');
      return lab.refused('fmod_ret', 'prog:p:sub');
    },
  },
  'bpf.extension.exclusive': {
    refuse: (lab) => {
      loadTestProgram(lab, 'p');
      lab.attach('fentry', 'prog:p:sub', {}, 'tracer');
      return lab.refused('freplace', 'prog:p:sub');
    },
    holders: ['tracer'],
  },
  'bpf.freplace.prog-array': {
    refuse: (lab) => {
      loadTestProgram(lab, 'p');
      lab.change((txn) => {
        const program = txn.bpfProgs.get('p');
        assert.ok(program !== undefined);
        txn.bpfProgs.set('p', { ...program, arrayMembers: 1 });
      });
      return lab.refused('freplace', 'prog:p:sub');
    },
  },
  'task.stack.atomic': {
    refuse: (lab) => {
      const { id } = lab.attach('fentry', F);
      const identity = { id: 'task_x', client: 'test', tenant: 'default', nowMs: 0 };
      const request = { name: 'x', kind: 'user' as const, stack: [`prog:${id}`] };
      const { outcome } = decideNewTask(lab.world, lab.state, lab.text, { request, identity });
      assert.ok(outcome.kind === 'refused');
      return outcome.fault;
    },
  },
};
