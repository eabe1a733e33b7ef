/** Goal: helpers that the kernel's own code can answer on the simulated machine are answered by it, and only programs that may call them do. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { type Coordinator, createCoordinator, type LoadProgramRequest } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import {
  addImm,
  call,
  EXIT,
  load64,
  mapValue,
  mov,
  movImm,
  program,
  store64,
  storeImm64,
} from '../support/bpf-code.ts';
import { caller } from '../support/coordinators.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { value } from '../support/results.ts';

const me = caller();
const CPU = 1;
/** docs/machine.md: the stack of CPU 1, and its end. */
const STACK_END = 0xffff_c9ff_0000_1000n + BigInt(CPU) * 0x1_0000n + 0x4000n;
const PT_REGS_SIZE = 168n;
const IP = 128;
const WORDS = 32;

for (const name of [RECORDED_6_12, RECORDED_6_1]) {
  const { path, skip } = realKernel(name);
  describe(`helpers of tasks and paths on ${name}`, { skip }, () => {
    let image: KernelImage;
    let kernel: Coordinator;
    before(async () => {
      image = await kernelImage(path);
      kernel = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) });
    });
    after(() => kernel.close());

    const offset = (tag: string, member: string): number =>
      image.btf?.struct(tag)?.offsets.get(member) ?? assert.fail();

    async function loaded(bytecode: string, more: Partial<LoadProgramRequest> = {}) {
      const spec = { name: 'seen', type: 'array', keySize: 4, valueSize: WORDS * 8, maxEntries: 1 } as const;
      const map = value(await kernel.createMap(me, spec)).id;
      const request = { type: 'fentry', bytecode, maps: [map], attachTo: 'tcp_set_state', ...more } as const;
      const bytes = (): Buffer => {
        const [entry] = value(kernel.mapEntries(me, map, { limit: 1 })).items;
        return Buffer.from(entry?.value ?? '', 'hex');
      };
      return { answer: await kernel.loadProgram(me, request), bytes };
    }
    const refusal = async (bytecode: string, more: Partial<LoadProgramRequest> = {}): Promise<string> => {
      const { answer } = await loaded(bytecode, more);
      return answer.ok ? 'accepted' : answer.fault.detail;
    };
    const attach = async (answer: Awaited<ReturnType<typeof loaded>>['answer'], target: string): Promise<void> => {
      value(await kernel.attach(me, { kind: 'fentry', target, program: value(answer).id }, {}));
    };
    const OUT = program(movImm(0, 0), EXIT);
    const task = (helper: number): string => program(call(158), mov(1, 0), call(helper));

    it('the registers of the running task are where its stack ends, and read by their types', async () => {
      const reads = program(task(175), mapValue(7, 0), store64(7, 0, 0), load64(1, 0, IP), store64(7, 8, 1));
      const stack = program(call(158), mov(1, 0), mov(2, 7), addImm(2, 16), movImm(3, 64), movImm(4, 0), call(141));
      const { answer, bytes } = await loaded(program(reads, stack, store64(7, 80, 0), OUT));
      await attach(answer, 'tcp_set_state');
      const args = [{ buffer: '00'.repeat(4096) }, 4];
      const done = value(await kernel.call(me, { function: 'tcp_set_state', args, cpu: CPU }));
      assert.equal(done.ended, 'returned', JSON.stringify(done.fault));
      const words = Array.from({ length: 11 }, (_, i) => bytes().readBigUInt64LE(8 * i));
      assert.deepEqual(words.slice(0, 2), [STACK_END - PT_REGS_SIZE, 0n]);
      const from = image.symbols.byName('tcp_set_state')[0]?.address ?? 0n;
      assert.ok(
        words.slice(2, 10).some((ip) => ip > from && ip - from < 16n),
        'the traced function is on the stack',
      );
      assert.ok((words[10] ?? 0n) >= 24n && (words[10] ?? 0n) <= 64n);
    });

    it('take what their prototypes say', async () => {
      assert.equal(
        await refusal(program(movImm(1, 0), call(175), OUT)),
        'R1 type=scalar expected=ptr_, trusted_ptr_, rcu_ptr_.',
      );
      const socket = program(load64(1, 1), call(175), OUT);
      assert.equal(await refusal(socket), 'R1 is of type sock but task_struct is expected.');
      const write = program(task(175), storeImm64(0, IP, 0), OUT);
      assert.equal(await refusal(write), 'Only read is supported.');
      const copy = program(mov(1, 10), addImm(1, -8), movImm(2, 8), movImm(3, 0), call(148), OUT);
      assert.equal(await refusal(copy), 'Helper call might sleep in a non-sleepable prog.');
      const where = { type: 'lsm', attachTo: 'bpf_lsm_file_open' } as const;
      assert.equal(await refusal(copy, { ...where, isSleepable: true }), 'accepted');
    });

    const pathOf = (member: string): string =>
      program(
        load64(1, 1),
        addImm(1, offset('file', member)),
        mapValue(7, 0),
        mov(2, 7),
        addImm(2, 8),
        movImm(3, 64),
        call(147),
        store64(7, 0, 0),
        OUT,
      );

    it('paths are to be had where files are whole', async () => {
      const code = pathOf('f_path');
      assert.equal(await refusal(code, { attachTo: 'vfs_fallocate' }), 'accepted');
      assert.equal(await refusal(code, { attachTo: 'vfs_fsync' }), 'Helper call is not allowed in probe.');
      assert.equal(await refusal(code, { type: 'lsm', attachTo: 'bpf_lsm_file_open' }), 'accepted');
      assert.equal(
        await refusal(code, { type: 'lsm', attachTo: 'bpf_lsm_file_free_security' }),
        'Helper call is not allowed in probe.',
      );
      assert.match(await refusal(code, { type: 'kprobe' }), /^Program of this type cannot use helper bpf_d_path#147/);
      const inode = pathOf('f_inode');
      assert.equal(await refusal(inode, { attachTo: 'vfs_fallocate' }), 'R1 is of type file but path is expected.');
    });

    it('a path is written by the kernel’s own d_path', async () => {
      const { answer, bytes } = await loaded(pathOf('f_path'), { attachTo: 'vfs_fallocate' });
      const [FILE, MOUNT, DENTRY, ROOT, NAME] = [0, 1024, 2048, 2560, 3072];
      const allocate = async (file: Buffer) => {
        const args = [{ buffer: file.toString('hex') }, 0, 0, 0];
        const done = value(await kernel.call(me, { function: 'vfs_fallocate', args }));
        assert.equal(done.ended, 'returned', JSON.stringify(done.fault));
        return BigInt(done.buffers[0]?.address ?? 0);
      };
      const file = Buffer.alloc(4096);
      const at = await allocate(file);
      await attach(answer, 'vfs_fallocate');
      const point = (from: number, to: number): void => void file.writeBigUInt64LE(at + BigInt(to), from);
      const mnt = MOUNT + offset('mount', 'mnt');
      point(FILE + offset('file', 'f_path') + offset('path', 'mnt'), mnt);
      point(FILE + offset('file', 'f_path') + offset('path', 'dentry'), DENTRY);
      point(mnt + offset('vfsmount', 'mnt_root'), ROOT);
      point(MOUNT + offset('mount', 'mnt_parent'), MOUNT);
      for (const dentry of [DENTRY, ROOT]) point(dentry + offset('dentry', 'd_parent'), ROOT);
      // It is in the table of names.
      point(DENTRY + offset('dentry', 'd_hash') + 8, ROOT);
      const text = 'a-file';
      file.writeUInt32LE(text.length, DENTRY + offset('dentry', 'd_name') + 4);
      point(DENTRY + offset('dentry', 'd_name') + 8, NAME);
      file.write(text, NAME, 'latin1');
      assert.equal(await allocate(file), at);
      const seen = bytes();
      assert.equal(seen.toString('latin1', 8, 8 + text.length + 2), `/${text}\0`);
      assert.equal(seen.readBigUInt64LE(0), BigInt(text.length + 2));
    });
  });
}
