/** The verifier against the shapes of Linux's own verifier tests, and against what 6.12 lets each type read of its context. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { type KernelImage, kernelBtf } from '../../src/image/index.ts';
import { builtinImage } from '../support/images.ts';
import { SHAPES } from './support/verifier-flow-shapes.ts';
import { type VerifyOptions, verifyAssembly } from './support/verify-assembly.ts';

/** A loop that does not end is given up earlier than after a million instructions. */
const LIMIT = 20_000;

function expect(source: string, refused: readonly [string, string] | undefined, options: VerifyOptions = {}): void {
  const verdict = verifyAssembly(source, { maxInstructions: LIMIT, ...options });
  if (refused === undefined) {
    assert.ok(verdict.ok, verdict.ok ? '' : verdict.fault.log);
    return;
  }
  assert.ok(!verdict.ok, 'it was accepted');
  assert.equal(verdict.fault.errno, refused[0], verdict.fault.log);
  assert.ok(`${verdict.fault.log}${verdict.fault.detail}`.includes(refused[1]), verdict.fault.log);
}

for (const [group, shapes] of Object.entries(SHAPES))
  describe(`the verifier, as Linux's own tests have it: ${group}`, () => {
    for (const [what, source, refused] of shapes)
      it(`${refused === undefined ? 'accepts' : 'refuses'} ${what}`, () => {
        expect(source, refused);
        expect(source, refused, { checkpointsEverywhere: true });
      });
  });

type Type = NonNullable<VerifyOptions['type']>;
type Context = readonly [type: Type, target: string, load: string, refused?: readonly [errno: string, phrase: string]];

const INVALID = 'invalid bpf_context access';

/** Functions of the built-in kernel; R1 is the context. */
const CONTEXTS: readonly Context[] = [
  ['fentry', 'gcd', 'ldxdw %r0, [%r1+0]'],
  ['fentry', 'gcd', 'ldxdw %r0, [%r1+8]'],
  ['fentry', 'gcd', 'ldxb %r0, [%r1+8]'],
  ['fentry', 'gcd', 'ldxh %r0, [%r1+0]'],
  ['fentry', 'gcd', 'ldxw %r0, [%r1+8]'],
  ['fentry', 'gcd', 'ldxw %r0, [%r1+4]', ['EACCES', "func 'gcd' offset 4 is not multiple of 8"]],
  ['fentry', 'gcd', 'ldxb %r0, [%r1+9]', ['EACCES', "func 'gcd' offset 9 is not multiple of 8"]],
  ['fentry', 'gcd', 'ldxdw %r0, [%r1+4]', ['EACCES', INVALID]],
  ['fentry', 'gcd', 'ldxdw %r0, [%r1-8]', ['EACCES', INVALID]],
  ['fentry', 'gcd', 'ldxdw %r0, [%r1+16]', ['EACCES', "func 'gcd' doesn't have 3-th argument"]],
  ['fentry', 'gcd', 'ldxdw %r0, [%r1+24]', ['EACCES', "func 'gcd' doesn't have 4-th argument"]],
  ['fentry', 'gcd', 'ldxdw %r0, [%r1+96]', ['EACCES', INVALID]],
  ['fentry', 'gcd', 'stdw [%r1+0], 0', ['EACCES', INVALID]],
  ['fentry', 'gcd', 'mov %r2, 1\nlock add [%r1+0], %r2', ['EACCES', 'BPF_ATOMIC stores into R1 ctx is not allowed']],
  [
    'fentry',
    'gcd',
    'add %r1, 8\nldxdw %r0, [%r1+0]',
    ['EACCES', 'dereference of modified ctx ptr R1 off=8 disallowed'],
  ],
  ['fexit', 'gcd', 'ldxdw %r0, [%r1+16]'],
  ['fexit', 'gcd', 'ldxdw %r0, [%r1+24]', ['EACCES', "func 'gcd' doesn't have 4-th argument"]],
  ['fexit', 'tcp_set_state', 'ldxdw %r0, [%r1+16]', ['EACCES', "doesn't have 4-th argument"]],
  ['fmod_ret', 'bpf_modify_return_test', 'ldxw %r0, [%r1+16]'],
  ['fmod_ret', 'bpf_modify_return_test', 'ldxdw %r0, [%r1+24]', ['EACCES', INVALID]],
  ['fentry', 'bpf_modify_return_test', 'ldxw %r0, [%r1+0]'],
  ['fentry', 'bpf_modify_return_test', 'ldxdw %r2, [%r1+8]'],
  [
    'fentry',
    'bpf_modify_return_test',
    'ldxw %r2, [%r1+8]',
    ['EACCES', "func 'bpf_modify_return_test' size 4 must be 8"],
  ],
  [
    'fentry',
    'bpf_modify_return_test',
    'ldxdw %r2, [%r1+8]\nldxw %r0, [%r2+0]',
    ['EACCES', "R2 invalid mem access 'scalar'"],
  ],
  ['fentry', 'tcp_set_state', 'ldxdw %r2, [%r1+0]\nldxb %r0, [%r2+2]'],
  ['fentry', 'tcp_set_state', 'ldxdw %r2, [%r1+0]\nldxw %r0, [%r2+24]'],
  ['fentry', 'tcp_set_state', 'ldxw %r2, [%r1+0]', ['EACCES', "func 'tcp_set_state' size 4 must be 8"]],
  [
    'fentry',
    'tcp_set_state',
    'ldxdw %r2, [%r1+0]\nldxdw %r0, [%r2+4096]',
    ['EACCES', 'access beyond struct sock at off 4096 size 8'],
  ],
  [
    'fentry',
    'tcp_set_state',
    'ldxdw %r2, [%r1+0]\nldxb %r0, [%r2-1]',
    ['EACCES', 'R2 is ptr_sock invalid negative access: off=-1'],
  ],
  ['fentry', 'tcp_set_state', 'ldxdw %r2, [%r1+0]\nstdw [%r2+0], 0', ['EACCES', 'only read is supported']],
  [
    'fentry',
    'tcp_set_state',
    'ldxdw %r2, [%r1+0]\nldxdw %r3, [%r1+8]\nand %r3, 7\nadd %r2, %r3\nldxb %r0, [%r2+0]',
    ['EACCES', 'R2 is ptr_sock invalid variable offset'],
  ],
  ['fentry', 'vfs_write', 'ldxdw %r2, [%r1+8]\nldxb %r0, [%r2+0]', ['EACCES', "R2 invalid mem access 'scalar'"]],
  ['fentry', 'vfs_write', 'ldxdw %r0, [%r1+24]'],
  ['fentry', 'schedule', 'ldxdw %r0, [%r1+0]', ['EACCES', "func 'schedule' doesn't have 2-th argument"]],
  ['lsm', 'bpf_lsm_file_open', 'ldxdw %r0, [%r1+0]'],
  ['lsm', 'bpf_lsm_file_open', 'ldxdw %r0, [%r1+8]'],
];

describe('the verifier, reading contexts by BTF', () => {
  let image: KernelImage;
  before(async () => {
    image = await builtinImage();
  });

  for (const [type, name, load, refused] of CONTEXTS)
    it(`${type} of ${name}: ${refused === undefined ? 'accepts' : 'refuses'} ${load.replaceAll('\n', '; ')}`, () => {
      const prototype = image.btf?.prototype(name);
      const btfId = image.btf?.id(name);
      const btf = kernelBtf(image)?.types;
      assert.ok(prototype !== undefined && btfId !== undefined && btf !== undefined, name);
      const target = { name, btfId, words: prototype.params.length };
      expect(`${load}\nmov %r0, 0\nexit`, refused, { type, btf, target });
    });

  it('refuses LSM programs for hooks that are disabled, and such without a licence', () => {
    const target = { name: 'bpf_lsm_getprocattr', btfId: 7, words: 2 };
    const phrase = 'attach_btf_id 7 points to disabled hook bpf_lsm_getprocattr';
    expect('mov %r0, 0\nexit', ['EINVAL', phrase], { type: 'lsm', target });
    const other = { name: 'bpf_lsm_file_open', words: 1 };
    const licence = ['EINVAL', 'LSM programs must have a GPL compatible license'] as const;
    expect('mov %r0, 0\nexit', licence, { type: 'lsm', target: other, isGpl: false });
    expect('mov %r0, 0\nexit', undefined, { type: 'lsm', target: other });
  });

  it('canary: a function with one argument less is found out', () => {
    const btf = kernelBtf(image)?.types;
    const btfId = image.btf?.id('bpf_fentry_test1');
    assert.ok(btf !== undefined && btfId !== undefined);
    const target = { name: 'gcd', btfId, words: 1 };
    const ask = (): void => expect('ldxdw %r0, [%r1+8]\nmov %r0, 0\nexit', undefined, { type: 'fentry', btf, target });
    assert.throws(ask, /doesn't have 2-th argument/);
  });
});
