/** Goal: variables of the kernel that an object declares with their types are read where each CPU has its own, by the kernel's own helpers and types. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { type Coordinator, createCoordinator } from '../../src/coordinator/index.ts';
import { BTF_KIND, type KernelImage, kernelBtf, typeNamed } from '../../src/image/index.ts';
import { EXIT, insn, movImm, program } from '../support/bpf-code.ts';
import { objectBytes } from '../support/bpf-objects.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { value } from '../support/results.ts';

const me = caller();
const CPU = 1;
const OTHER_CPU = 2;
/** docs/machine.md: where the machine has its per-CPU areas and tasks. */
const PERCPU = 0xffff_8881_2000_0000n + BigInt(CPU) * 0x10_0000n;
const TASK = 0xffff_8881_3000_0000n + BigInt(CPU) * 0x4000n;

const KERNELS = [
  { name: 'the built-in kernel', skip: false as const, image: builtinImage, hasOffset: false },
  ...[RECORDED_6_12, RECORDED_6_1].map((name) => {
    const { path, skip } = realKernel(name);
    return { name, skip, image: () => kernelImage(path), hasOffset: true };
  }),
];

const named = (dst: number, id: number, second = 0): string =>
  program(insn(0x18, dst, 3, 0, id), insn(0, 0, 0, 0, second));

for (const { name, skip, image: load, hasOffset } of KERNELS)
  describe(`variables of ${name}`, { skip }, () => {
    let image: KernelImage;
    let kernel: Coordinator;
    before(async () => {
      image = await load();
      kernel = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) });
    });
    after(() => kernel.close());

    const loadCode = (bytecode: string) => kernel.loadProgram(me, { type: 'kprobe', bytecode });

    it('are those of the CPU that a program runs on, and of another one', async () => {
      const request = { bytes: objectBytes('ksyms'), name: 'ksyms', section: 'per_cpu' };
      const loaded = value(await kernel.loadObject(me, request));
      assert.ok('id' in loaded);
      value(await kernel.attach(me, { kind: 'fentry', target: 'tcp_set_state', program: loaded.id }, {}));
      const args = [{ buffer: '00'.repeat(4096) }, 4];
      const answer = value(await kernel.call(me, { function: 'tcp_set_state', args, cpu: CPU }));
      assert.equal(answer.ended, 'returned', JSON.stringify(answer.fault));
      const [map] = value(kernel.program(me, loaded.id)).maps;
      const [entry] = value(kernel.mapEntries(me, map ?? '', { limit: 1 })).items;
      const bytes = Buffer.from(entry?.value ?? '', 'hex');
      const [task, cpu, other, offset, beyond, gcd] = Array.from({ length: 6 }, (_, i) => bytes.readBigUInt64LE(8 * i));
      assert.deepEqual({ task, cpu, other, beyond }, { task: TASK, cpu: 1n, other: BigInt(OTHER_CPU), beyond: 1n });
      assert.equal(gcd, image.symbols.byName('gcd')[0]?.address);
      if (hasOffset) assert.equal(offset, PERCPU);
    });

    it('are compared by type, and are not to be had without a helper', async () => {
      const btf = kernelBtf(image);
      assert.ok(btf !== undefined);
      const variable = typeNamed(btf.types, BTF_KIND.VAR, 'bpf_prog_active') ?? 0;
      const read = await loadCode(program(named(1, variable), insn(0x61, 0, 1, 0), EXIT));
      assert.ok(!read.ok);
      assert.match(read.fault.detail, /^R1 is ptr_(?:int)? access percpu memory: off=0\.$/);
      const task = typeNamed(btf.types, BTF_KIND.STRUCT, 'task_struct') ?? 0;
      const refusals: readonly (readonly [string, string, RegExp])[] = [
        [named(1, btf.count), 'ENOENT', /^ldimm64 insn specifies invalid btf_id \d+\./i],
        [named(1, task), 'EINVAL', /^pseudo btf_id \d+ in ldimm64 isn't KIND_VAR or KIND_FUNC/i],
        [named(1, variable, 7), 'EINVAL', /^invalid module BTF object FD specified\./i],
      ];
      for (const [code, errno, message] of refusals) {
        const refused = await loadCode(program(code, movImm(0, 0), EXIT));
        assert.ok(!refused.ok, String(message));
        assert.equal(refused.fault.errno, errno);
        assert.match(refused.fault.detail, message);
      }
    });

    it('a function is its address, and nothing to read', async () => {
      const btf = kernelBtf(image);
      const id = btf && typeNamed(btf.types, BTF_KIND.FUNC, 'tcp_set_state');
      const loaded = value(await loadCode(program(named(0, id ?? 0), EXIT)));
      const { listing } = value(kernel.programListing(me, loaded.id, 'xlated'));
      const [symbol] = image.symbols.byName('tcp_set_state');
      assert.ok(listing.includes(`0x${symbol?.address.toString(16)}`), listing);
      const read = await loadCode(program(named(1, id ?? 0), insn(0x71, 0, 1, 0), EXIT));
      assert.ok(!read.ok);
      assert.match(read.fault.detail, /R1 min value is outside of the allowed memory range/);
      assert.match(JSON.stringify(read.fault), /invalid access to memory, mem_size=0 off=0 size=1/);
    });
  });
