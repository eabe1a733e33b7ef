/** Goal: programs change values under their locks by the kernel's own code, and leave no trace of the lock to anybody. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { createCoordinator } from '../../src/coordinator/index.ts';
import { AddressSpace, Cpu, PAGE_SIZE } from '../../src/cpu/index.ts';
import { STUB_CODE } from '../../src/jit/index.ts';
import { objectBytes } from '../support/bpf-objects.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { value } from '../support/results.ts';

const me = caller();
const LOCKED = 4;
const KEY = '00000000';
/** struct pair: first, lock and padding, second. */
const pair = (first: number, second: number, lock = 0): string => {
  const bytes = Buffer.alloc(24);
  bytes.writeBigUInt64LE(BigInt(first), 0);
  bytes.writeUInt32LE(lock, 8);
  bytes.writeBigUInt64LE(BigInt(second), 16);
  return bytes.toString('hex');
};

const KERNELS = [
  { name: 'the built-in kernel', skip: false as const, image: builtinImage },
  ...[RECORDED_6_12, RECORDED_6_1].map((name) => {
    const { path, skip } = realKernel(name);
    return { name, skip, image: () => kernelImage(path) };
  }),
];

for (const { name, skip, image } of KERNELS)
  it(`values of a hash and of global data change under their locks on ${name}`, { skip }, async () => {
    const options = { image: await image(), strictness: 'safe', clock: systemClock, prng: seededPrng(1) } as const;
    const kernel = createCoordinator(options);
    const load = (section: string) => kernel.loadObject(me, { bytes: objectBytes('locks'), name: 'locks', section });
    const loaded = value(await load('count'));
    assert.ok('id' in loaded);
    value(await kernel.attach(me, { kind: 'fentry', target: 'tcp_set_state', program: loaded.id }, {}));
    const maps = value(kernel.program(me, loaded.id)).maps.map((id) => value(kernel.map(me, id)));
    const [pairs, data] = maps;
    assert.ok(pairs !== undefined && data !== undefined);
    assert.deepEqual([pairs.spinLock, data.spinLock], [8, 8]);
    for (let calls = 1; calls <= 3; calls++) {
      const args = [{ buffer: '00'.repeat(4096) }, 4];
      const answer = value(await kernel.call(me, { function: 'tcp_set_state', args }));
      assert.equal(answer.ended, 'returned', JSON.stringify(answer.fault));
      const shown = (id: string) => value(kernel.mapEntry(me, id, KEY)).value;
      assert.equal(shown(pairs.id), pair(calls, calls));
      assert.equal(shown(data.id), Buffer.of(39 + calls, ...new Uint8Array(11)).toString('hex'));
    }
    const update = { key: KEY, value: pair(70, 70, 0xffff), flags: LOCKED };
    assert.equal(value(await kernel.updateMapEntry(me, pairs.id, update)).value, pair(70, 70));
    const refused = await load('names_it');
    assert.ok(!refused.ok);
    assert.equal(refused.fault.errno, 'EINVAL');
    assert.match(refused.fault.detail, /^tracing progs cannot use bpf_spin_lock yet\.$/i);
    const untyped = await load('without_types');
    assert.ok(!untyped.ok);
    assert.match(untyped.fault.detail, /^map 'untyped' has to have BTF in order to use bpf_spin_lock\.$/i);
    await kernel.close();
  });

describe('the built-in kernel’s lock', () => {
  const [CODE, DATA, STACK] = [0x1000_0000n, 0x2000_0000n, 0x3000_0000n];
  const SENTINEL = 0x4000_0000n;

  it('is waited for on a CPU until the other has given it back', () => {
    const space = new AddressSpace();
    const page = (bytes?: Uint8Array): Uint8Array => {
      const whole = new Uint8Array(PAGE_SIZE);
      whole.set(bytes ?? []);
      return whole;
    };
    const map = (start: bigint, permissions: 'r-x' | 'rw-', initial: Uint8Array): void => {
      space.map({ name: 'lock', start, length: PAGE_SIZE, permissions, initial });
    };
    map(CODE, 'r-x', page(STUB_CODE.get(93)));
    map(CODE + 0x1_0000n, 'r-x', page(STUB_CODE.get(94)));
    map(DATA, 'rw-', page());
    const cpus = [0, 1].map((number) => {
      map(STACK + BigInt(number * 0x1_0000), 'rw-', page());
      const cpu = new Cpu({ number, space });
      cpu.sentinel = SENTINEL;
      return cpu;
    });
    const begin = (number: number, at: bigint): Cpu => {
      const cpu = cpus[number] as Cpu;
      cpu.set('rsp', STACK + BigInt(number * 0x1_0000 + PAGE_SIZE));
      cpu.push(SENTINEL);
      cpu.set('rdi', DATA);
      cpu.set('rip', at);
      return cpu;
    };
    assert.equal(begin(0, CODE).run(100).kind, 'returned');
    const waiting = begin(1, CODE);
    assert.equal(waiting.run(1000).kind, 'budget');
    assert.equal(begin(0, CODE + 0x1_0000n).run(100).kind, 'returned');
    assert.equal(waiting.run(100).kind, 'returned');
    assert.equal(space.peek(DATA, 1)?.[0], 1);
  });
});
