/** The verifier with the types of a real kernel: what each type of program reads and writes of its context, of maps and of the running task. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { type KernelImage, kernelBtf } from '../../src/image/index.ts';
import { disassembleBpf, rewriteVerified, verifyBpf } from '../../src/jit/index.ts';
import { mayProgramsSleep } from '../../src/registry/bpf/attach-target.ts';
import { traceSignature } from '../../src/registry/tracepoint/signature.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { RegistryLab } from '../support/registry-lab.ts';
import { requestOf, type VerifyOptions, verifyAssembly } from './support/verify-assembly.ts';

const { path, skip } = realKernel(RECORDED_6_12);
let image: KernelImage;

/** Options of a program of a type, for a function or a tracepoint of the kernel. */
function optionsOf(type: NonNullable<VerifyOptions['type']>, name?: string): VerifyOptions {
  const btf = kernelBtf(image);
  assert.ok(btf);
  const common = { type, btf: btf.types };
  if (name === undefined) return common;
  if (type === 'tp_btf') {
    const signature = traceSignature(image, name);
    assert.ok(signature, name);
    return { ...common, target: { name, btfId: signature.btfId, words: signature.args } };
  }
  const prototype = image.btf?.prototype(name);
  const btfId = image.btf?.id(name);
  assert.ok(prototype !== undefined && btfId !== undefined, name);
  const words = prototype.params.reduce((sum, { size }) => sum + Math.ceil(size / 8), 0);
  return { ...common, target: { name, btfId, words } };
}

const isAccepted = (source: string, options: VerifyOptions): boolean => verifyAssembly(source, options).ok;

function refusal(source: string, options: VerifyOptions): string {
  const verdict = verifyAssembly(source, options);
  assert.ok(!verdict.ok, `accepted: ${source}`);
  return `${verdict.fault.errno} ${verdict.fault.log}${verdict.fault.detail}`;
}

const SUFFIX = { 1: 'b', 2: 'h', 4: 'w', 8: 'dw' } as const;
const SIZES = [1, 2, 4, 8] as const;
const WRITTEN = 'mov %r0, 0\nexit';

interface Access {
  readonly off: number;
  readonly size: (typeof SIZES)[number];
}

const at = (off: number): string => (off < 0 ? `${off}` : `+${off}`);
const load = ({ off, size }: Access): string => `ldx${SUFFIX[size]} %r2, [%r1${at(off)}]\n${WRITTEN}`;
const store = ({ off, size }: Access): string => `st${SUFFIX[size]} [%r1${at(off)}], 0\n${WRITTEN}`;

/** The accesses at these offsets that are not as said, or that write. */
function differing(options: VerifyOptions, offsets: Iterable<number>, mayRead: (access: Access) => boolean): string[] {
  const wrong: string[] = [];
  for (const off of offsets)
    for (const size of SIZES) {
      if (isAccepted(load({ off, size }), options) !== mayRead({ off, size })) wrong.push(`read ${size} at ${off}`);
      if (isAccepted(store({ off, size }), options)) wrong.push(`write ${size} at ${off}`);
    }
  return wrong;
}

function* range(first: number, end: number): Generator<number> {
  for (let off = first; off < end; off++) yield off;
}

describe('contexts, with the types of 6.12', { skip }, () => {
  before(async () => {
    image = await kernelImage(path);
  });

  it('kprobe: struct pt_regs, aligned and read-only', () => {
    const wrong = differing(
      optionsOf('kprobe'),
      range(-9, 180),
      ({ off, size }) => off >= 0 && off + size <= 168 && off % size === 0,
    );
    assert.deepEqual(wrong, []);
  });

  it('tracepoint: a record behind its first eight bytes', () => {
    const may = ({ off, size }: Access): boolean => off >= 8 && off < 8192 && off % size === 0;
    assert.deepEqual(differing(optionsOf('tracepoint'), [...range(-9, 40), ...range(8180, 8200)], may), []);
  });

  it('raw_tracepoint: twelve words', () => {
    const may = ({ off, size }: Access): boolean => off >= 0 && off < 96 && off % size === 0;
    assert.deepEqual(differing(optionsOf('raw_tracepoint'), range(-9, 105), may), []);
  });

  /** Bytes that may be read at the start of each word: `all` of a number, 8 of a pointer, nothing. */
  const WORDS: readonly (readonly [
    type: NonNullable<VerifyOptions['type']>,
    name: string,
    words: readonly ('all' | 'pointer')[],
  ])[] = [
    ['fentry', 'tcp_set_state', ['pointer', 'all']],
    ['fexit', 'tcp_set_state', ['pointer', 'all']],
    ['fentry', 'bpf_fentry_test6', ['all', 'pointer', 'all', 'all', 'pointer', 'all']],
    ['fexit', 'bpf_fentry_test6', ['all', 'pointer', 'all', 'all', 'pointer', 'all', 'all']],
    ['fmod_ret', 'bpf_modify_return_test', ['all', 'pointer', 'all']],
    ['fentry', 'bpf_modify_return_test', ['all', 'pointer']],
    ['lsm', 'bpf_lsm_file_open', ['pointer', 'all']],
    ['lsm', 'bpf_lsm_task_free', ['pointer']],
    ['tp_btf', 'sched_switch', ['all', 'pointer', 'pointer', 'all']],
    ['tp_btf', 'sys_enter', ['pointer', 'all']],
  ];
  for (const [type, name, words] of WORDS)
    it(`${type}/${name}: ${words.join(', ')}`, () => {
      const may = ({ off, size }: Access): boolean => {
        const word = off % 8 === 0 && off >= 0 ? words[off / 8] : undefined;
        return word === 'all' || (word === 'pointer' && size === 8);
      };
      assert.deepEqual(differing(optionsOf(type, name), range(-8, 8 * words.length + 17), may), []);
    });
});

describe('maps and tasks, with the types of 6.12', { skip }, () => {
  before(async () => {
    image = await kernelImage(path);
  });

  it('reads the numbers of a map through its address, and no others', () => {
    const options = optionsOf('kprobe');
    for (const map of [0, 2, 3]) {
      const source = `lddw map_fd %r1, ${map}`;
      assert.ok(isAccepted(`${source}\nldxw %r2, [%r1+36]\n${WRITTEN}`, options), `max_entries of map ${map}`);
      assert.match(refusal(`${source}\nldxw %r2, [%r1-4]\n${WRITTEN}`, options), /invalid negative access: off=-4/);
      assert.match(
        refusal(`${source}\nstw [%r1+36], 0\n${WRITTEN}`, options),
        /EACCES .*only read from bpf_\w+ is supp/s,
      );
      assert.match(refusal(`${source}\nldxw %r2, [%r1+0]\n${WRITTEN}`, options), /cannot access ptr member ops/);
    }
  });

  it('follows a pointer that it read from a map as one that may be wild', () => {
    const source = `lddw map_fd %r1, 0\nldxdw %r2, [%r1+0]\nldxdw %r3, [%r2+0]\n${WRITTEN}`;
    const verdict = verifyAssembly(source, optionsOf('kprobe'));
    assert.ok(verdict.ok, verdict.ok ? '' : verdict.fault.log);
    assert.equal(verdict.value.probes[3], 1, 'the load through ops reads 0 where there is nothing');
    assert.equal(verdict.value.probes[2], 0, 'the map itself is there');
  });

  it('reads members of the running task', () => {
    const options = optionsOf('fentry', 'tcp_set_state');
    const pid = image.btf?.struct('task_struct')?.offsets.get('pid');
    assert.ok(pid !== undefined);
    const task = 'call 158\n';
    assert.ok(isAccepted(`${task}ldxw %r2, [%r0+${pid}]\n${WRITTEN}`, options));
    assert.match(refusal(`${task}stw [%r0+${pid}], 0\n${WRITTEN}`, options), /only read is supported/);
    assert.match(refusal(`${task}ldxdw %r2, [%r0-8]\n${WRITTEN}`, options), /R0 is ptr_task_struct invalid negative/);
  });
});

describe('programs that may sleep, with the types of 6.12', { skip }, () => {
  let lab: RegistryLab;
  before(async () => {
    image = await kernelImage(path);
    lab = new RegistryLab(image, 'linux');
  });
  const sleepable = (type: NonNullable<VerifyOptions['type']>, name?: string): VerifyOptions => {
    const options = optionsOf(type, name);
    const { target } = options;
    const maySleep = name !== undefined && mayProgramsSleep(lab.world, name);
    return { ...options, isSleepable: true, ...(target === undefined ? {} : { target: { ...target, maySleep } }) };
  };

  it('are of the types, and for the functions, in which one may', () => {
    for (const [type, name] of [
      ['fentry', 'bpf_fentry_test1'],
      ['fexit', 'bpf_fentry_test1'],
      ['fmod_ret', 'bpf_fentry_test1'],
      ['lsm', 'bpf_lsm_file_open'],
      ['lsm', 'bpf_lsm_bprm_committed_creds'],
      ['kprobe', undefined],
    ] as const)
      assert.ok(isAccepted(WRITTEN, sleepable(type, name)), `${type} ${name}`);
    for (const [type, name, message] of [
      ['fentry', 'tcp_set_state', /EINVAL .*tcp_set_state is not sleepable/s],
      ['fentry', 'bpf_fentry_test2', /EINVAL .*bpf_fentry_test2 is not sleepable/s],
      ['lsm', 'bpf_lsm_task_free', /EINVAL .*bpf_lsm_task_free is not sleepable/s],
      ['lsm', 'bpf_lsm_inode_permission', /EINVAL .*is not sleepable/s],
      ['tp_btf', 'sched_switch', /EINVAL Only fentry\/fexit\/fmod_ret, lsm, iter, uprobe, and struct_ops programs/],
      ['raw_tracepoint', undefined, /EINVAL Only fentry/],
      ['tracepoint', undefined, /EINVAL Only fentry/],
    ] as const)
      assert.match(refusal(WRITTEN, sleepable(type, name)), message, `${type} ${name}`);
  });

  it('use maps whose contents outlive them', () => {
    const options = sleepable('fentry', 'bpf_fentry_test1');
    for (const map of [0, 2, 3]) assert.ok(isAccepted(`lddw map_fd %r1, ${map}\n${WRITTEN}`, options), `map ${map}`);
    assert.match(
      refusal(`lddw map_fd %r1, 5\n${WRITTEN}`, options),
      /can only use array, hash, ringbuf and local storage/,
    );
  });

  it('are no readers: what they read under RCU may be gone', () => {
    const fields = image.btf?.struct('task_struct')?.offsets;
    const group = fields?.get('group_leader');
    const source = `call 158\nldxdw %r1, [%r0+${group}]\nldxdw %r2, [%r1+0]\n${WRITTEN}`;
    const probes = (options: VerifyOptions): readonly number[] => {
      const verdict = verifyAssembly(source, options);
      assert.ok(verdict.ok, verdict.ok ? '' : verdict.fault.log);
      return [...verdict.value.probes];
    };
    assert.equal(probes(optionsOf('fentry', 'bpf_fentry_test1'))[2], 0);
    assert.equal(probes(sleepable('fentry', 'bpf_fentry_test1'))[2], 1);
  });
});

describe('what the verifier makes of a call', () => {
  it('bpf_get_func_ret is -EOPNOTSUPP where the function has no result yet', () => {
    for (const [type, isConstant] of [
      ['fentry', true],
      ['lsm', true],
      ['fexit', false],
      ['fmod_ret', false],
    ] as const) {
      const request = requestOf(`mov %r2, %r10\nadd %r2, -8\ncall 184\nmov %r0, 0\nexit`, { type });
      const verified = verifyBpf(request);
      assert.ok(verified.ok, verified.ok ? '' : verified.fault.log);
      const { code } = rewriteVerified(request.code, request.functions, verified.value, type);
      const listing = disassembleBpf(code).map(({ text }) => text);
      assert.equal(listing.includes('(b7) r0 = -95'), isConstant, `${type}: ${listing}`);
    }
  });
});
