/**
 * bpf_spin_lock as Linux 6.12 lets programs use it, with its errno and message. Facts: tools/testing/selftests/bpf/progs/verifier_spin_lock.c and
 * test_spin_lock_fail.c, kernel/bpf/verifier.c; the programs are written anew.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { VerifiedType } from '../../src/jit/index.ts';
import { verifyAssembly } from './support/verify-assembly.ts';

/** R6 := the value of key 0 in a map, or the end. */
const value = (map = 7): string => `stw [%r10-4], 0
  mov %r2, %r10
  add %r2, -4
  lddw map_fd %r1, ${map}
  call 1
  jeq %r0, 0, out
  mov %r6, %r0`;
const at = (register: string, off: number): string => `mov %r1, %${register}\n  add %r1, ${off}`;
const lock = (register = 'r6', off = 4): string => `${at(register, off)}\n  call 93`;
const unlock = (register = 'r6', off = 4): string => `${at(register, off)}\n  call 94`;
const OUT = `out: mov %r0, 0
  exit`;
const body = (...lines: readonly string[]): string => [value(), ...lines, OUT].join('\n');

interface Case {
  readonly what: string;
  readonly source: string;
  readonly refused?: string;
}

const CASES: readonly Case[] = [
  {
    what: 'a value changed under its lock',
    source: body(lock(), 'ldxw %r2, [%r6]\nadd %r2, 1\nstxw [%r6], %r2', unlock()),
  },
  { what: 'a lock in the value that has an address', source: `lddw map_value %r6, 7\n${lock()}\n${unlock()}\n${OUT}` },
  {
    what: 'the lock read',
    source: body('ldxw %r0, [%r6+4]'),
    refused: 'bpf_spin_lock cannot be accessed directly by load/store',
  },
  {
    what: 'part of the lock written together with what stands before it',
    source: body('stdw [%r6], 0'),
    refused: 'bpf_spin_lock cannot be accessed directly by load/store',
  },
  {
    what: 'the lock handed to a helper',
    source: body('mov %r1, %r6\nmov %r2, 8\nmov %r3, 0\ncall 113'),
    refused: 'bpf_spin_lock cannot be accessed directly by load/store',
  },
  {
    what: 'another place than the lock',
    source: body(lock('r6', 0), unlock('r6', 0)),
    refused: "off 0 doesn't point to 'struct bpf_spin_lock' that is at 4",
  },
  {
    what: 'a place that is not known',
    source: body('call 7\nand %r0, 4\nmov %r1, %r6\nadd %r1, %r0\ncall 93'),
    refused: "R1 doesn't have constant offset. bpf_spin_lock has to be at the constant offset",
  },
  {
    what: 'the lock twice',
    source: body(lock(), lock()),
    refused: 'function calls are not allowed while holding a lock',
  },
  { what: 'a lock that is kept', source: body(lock()), refused: 'bpf_spin_unlock is missing' },
  { what: 'no lock', source: body(unlock()), refused: 'bpf_spin_unlock without taking a lock' },
  {
    what: 'a lock that one path keeps',
    source: body(lock(), 'ldxw %r2, [%r6]\njeq %r2, 0, out', unlock()),
    refused: 'bpf_spin_unlock is missing',
  },
  {
    what: 'the lock of another element',
    source: [value(), 'mov %r7, %r6', value(), lock('r7'), unlock('r6'), OUT].join('\n'),
    refused: 'bpf_spin_unlock of different lock',
  },
  {
    what: 'a helper while it is held',
    source: body(lock(), 'call 7', unlock()),
    refused: 'function calls are not allowed while holding a lock',
  },
  {
    what: 'a function of the program while it is held',
    source: `${body(lock(), 'call local more', unlock())}\nmore: mov %r0, 1\nexit`,
  },
  {
    what: 'a function that gives the lock back',
    source: `${body(lock(), 'mov %r1, %r6\ncall local more')}\nmore: add %r1, 4\ncall 94\nmov %r0, 0\nexit`,
  },
  {
    what: 'a map without types',
    source: [value(2), lock('r6', 0), OUT].join('\n'),
    refused: "map 'map_array_48b' has to have BTF in order to use bpf_spin_lock",
  },
  {
    what: 'a map whose values have no lock',
    source: [value(8), lock('r6', 0), OUT].join('\n'),
    refused: "map 'map_typed' has no valid bpf_spin_lock",
  },
  {
    what: 'a stack slot for a lock',
    source: `stw [%r10-8], 0\n${at('r10', -8)}\ncall 93\n${OUT}`,
    refused: 'R1 type=fp expected=map_value, ptr_',
  },
];

describe('bpf_spin_lock in programs of trampolines', () => {
  for (const { what, source, refused } of CASES)
    it(`${refused === undefined ? 'takes' : 'refuses'} ${what}`, () => {
      for (const checkpointsEverywhere of [false, true]) {
        const verdict = verifyAssembly(source, { type: 'fentry', checkpointsEverywhere });
        assert.equal(verdict.ok ? undefined : verdict.fault.detail, refused, verdict.ok ? '' : verdict.fault.log);
      }
    });
});

describe('who may have maps with locks', () => {
  const names = `lddw map_fd %r1, 7\n${OUT}`;
  const refusedAs = (type: VerifiedType): string | undefined => {
    const verdict = verifyAssembly(names, { type });
    return verdict.ok ? undefined : `${verdict.fault.errno} ${verdict.fault.detail}`;
  };
  for (const type of ['kprobe', 'tracepoint', 'raw_tracepoint'] as const)
    it(`${type}: not even named`, () =>
      assert.equal(refusedAs(type), 'EINVAL tracing progs cannot use bpf_spin_lock yet'));
  for (const type of ['fentry', 'fexit', 'fmod_ret', 'lsm', 'tp_btf'] as const)
    it(`${type}: yes`, () => assert.equal(refusedAs(type), undefined));
});

it('paths that hold different locks are not the same', () => {
  // On one path the lock is held where the paths meet, which the other must not hide.
  const source = `${value()}
  ldxw %r7, [%r6]
  jeq %r7, 0, skip
  ${lock()}
  skip: mov %r8, 0
  jeq %r7, 0, out
  ${unlock()}
  ${OUT}`;
  assert.ok(verifyAssembly(source, { type: 'fentry', checkpointsEverywhere: true }).ok);
  const wrong = source.replace('jeq %r7, 0, out', 'jne %r7, 0, out');
  assert.ok(!verifyAssembly(wrong, { type: 'fentry', checkpointsEverywhere: true }).ok);
});
