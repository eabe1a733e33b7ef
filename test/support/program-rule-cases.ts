/** Programs, and attachments of programs, that the rules refuse, on the built-in kernel. */
import assert from 'node:assert/strict';
import type { Fault } from '../../src/base/index.ts';
import type { LoadProgramRequest } from '../../src/registry/index.ts';
import type { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

const F = 'tcp_set_state';
const EXIT = '9500000000000000';
const RETURN_0 = `b700000000000000${EXIT}`;
const RAW_TRACEPOINT = { type: 'raw_tracepoint', bytecode: RETURN_0 } as const;

function notLoaded(lab: RegistryLab, request: LoadProgramRequest): Fault {
  const { outcome } = lab.loadProgram(request);
  assert.equal(outcome.kind, 'refused');
  return (outcome as Extract<typeof outcome, { kind: 'refused' }>).fault;
}

function loaded(lab: RegistryLab, request: LoadProgramRequest): string {
  const { outcome } = lab.loadProgram(request);
  assert.equal(outcome.kind, 'granted');
  return (outcome as Extract<typeof outcome, { kind: 'granted' }>).program.id;
}

const bytecode =
  (hex: string, type: LoadProgramRequest['type'] = 'raw') =>
  (lab: RegistryLab): Fault =>
    notLoaded(lab, { type, bytecode: hex });

/** `ja` over as many divisions, of which each becomes four instructions. */
const longJump = `0500${'1027'}00000000${'3f10000000000000'.repeat(10_000)}${EXIT}`;

export const PROGRAM_CASES: Readonly<Record<string, RuleCase>> = {
  'bpf.insn.unknown': { refuse: bytecode(`ff00000000000000${EXIT}`) },
  'bpf.insn.reserved': { refuse: bytecode('9501000000000000') },
  'bpf.insn.register': { refuse: bytecode(`b70b000000000000${EXIT}`) },
  'bpf.insn.frame-pointer': { refuse: bytecode(`b70a000000000000${EXIT}`) },
  'bpf.insn.wide-immediate': { refuse: bytecode('1800000000000000') },
  'bpf.insn.jump': { refuse: bytecode(`0500020000000000${EXIT}`) },
  'bpf.insn.call-target': { refuse: bytecode(`8510000007000000${EXIT}`) },
  'bpf.insn.falls-off': { refuse: bytecode('b700000000000000') },
  'bpf.program.size': { refuse: bytecode('') },
  'bpf.program.functions': {
    refuse: (lab) => {
      const calls = Array.from({ length: 300 }, (_, n) => {
        const call = Buffer.from('8510000000000000', 'hex');
        // Function n stands behind the calls and the exit.
        call.writeInt32LE(300 - n + n, 4);
        return call.toString('hex');
      });
      return notLoaded(lab, { type: 'raw', bytecode: `${calls.join('')}${EXIT.repeat(301)}` });
    },
  },
  'bpf.helper.unknown': { refuse: bytecode(`85000000ffff0000${EXIT}`) },
  'bpf.jit.unresolved': { refuse: bytecode(`18110000010000000000000000000000${EXIT}`) },
  'bpf.jit.no-tail-call': { refuse: bytecode(`850000000c000000${EXIT}`) },
  'bpf.jit.jump-range': { refuse: bytecode(longJump) },
  // r0 = r2: nothing is in it.
  'bpf.verifier': { refuse: bytecode(`bf20000000000000${EXIT}`, 'fentry') },
  'program.unknown': { refuse: (lab) => lab.refused('fentry', F, {}, 'test', 'prog_none') },
  'program.type': {
    refuse: (lab) => lab.refused('fexit', F, {}, 'test', loaded(lab, { type: 'fentry', bytecode: RETURN_0 })),
  },
  'tracepoint.program.raw': {
    refuse: (lab) => lab.refused('tracepoint', 'sched_switch', {}, 'test', loaded(lab, RAW_TRACEPOINT)),
    image: (image) => ({ ...image, btf: undefined }),
  },
  'tracepoint.program.event': {
    refuse: (lab) =>
      lab.refused('tracepoint', 'sched_switch', {}, 'test', loaded(lab, { ...RAW_TRACEPOINT, type: 'tracepoint' })),
  },
  'tracepoint.program.context': {
    refuse: (lab) => {
      // r0 = *(u64 *)(r1 +24): a fourth argument, of three.
      const bytecode = `79101800${'00000000'}${RETURN_0}`;
      return lab.refused('tracepoint', 'sched_switch', {}, 'test', loaded(lab, { ...RAW_TRACEPOINT, bytecode }));
    },
    errno: 'EINVAL',
  },
  'tracepoint.program.cookie': { refuse: (lab) => lab.refused('tracepoint', 'sched_switch', { cookie: 7 }) },
  'program.in-use': {
    refuse: (lab) => {
      const program = loaded(lab, { type: 'fentry', bytecode: RETURN_0 });
      lab.attach('fentry', F, {}, 'user', program);
      const { outcome } = lab.unloadProgram(program);
      assert.equal(outcome.kind, 'refused');
      return (outcome as Extract<typeof outcome, { kind: 'refused' }>).fault;
    },
    holders: ['user'],
  },
  'program.limit': {
    refuse: (lab) => {
      for (let n = 0; n < 1_000; n++) loaded(lab, { type: 'raw', bytecode: EXIT });
      return notLoaded(lab, { type: 'raw', bytecode: EXIT });
    },
  },
};
