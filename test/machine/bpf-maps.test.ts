/** Goal: programs with maps run on functions of the recorded kernels, their helpers being the kernel's own functions. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { CPU_COUNT, createCoordinator } from '../../src/coordinator/index.ts';
import { MAP_CPUS } from '../../src/jit/index.ts';
import { COUNT_AND_SEND, call, EXIT, jumpIfZero, mapAt, mov, movImm, program } from '../support/bpf-code.ts';
import { caller } from '../support/coordinators.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { value } from '../support/results.ts';

/** A state that a socket of zeroes can go to. */
const TCP_FIN_WAIT1 = 4;

/** Sends eight addresses of its stack to the ring buffer that is map 0. */
const SEND_STACK = program(
  mov(6, 1),
  mapAt(1, 0),
  movImm(2, 64),
  movImm(3, 0),
  call(131),
  jumpIfZero(0, 9),
  mov(7, 0),
  mov(1, 6),
  mov(2, 7),
  movImm(3, 64),
  movImm(4, 0),
  call(67),
  mov(1, 7),
  movImm(2, 0),
  call(132),
  movImm(0, 0),
  EXIT,
);

it('an element has as many values as the machine has CPUs', () => {
  assert.equal(MAP_CPUS, CPU_COUNT);
});

for (const kernel of [RECORDED_6_12, RECORDED_6_1]) {
  const { path, skip } = realKernel(kernel);

  describe(`programs with maps on ${kernel}`, { skip }, () => {
    it('count, send what they saw to a ring buffer, and where they were', async () => {
      const image = await kernelImage(path);
      const kernelOf = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) });
      const me = caller();
      const ring = { name: 'events', type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 } as const;
      const counts = value(
        await kernelOf.createMap(me, { ...ring, name: 'c', type: 'hash', keySize: 8, valueSize: 8, maxEntries: 8 }),
      );
      const events = value(await kernelOf.createMap(me, ring));
      const stacks = value(await kernelOf.createMap(me, ring));
      const attach = async (bytecode: string, maps: readonly string[]): Promise<void> => {
        const { id } = value(
          await kernelOf.loadProgram(me, { type: 'fentry', bytecode, maps, attachTo: 'tcp_set_state' }),
        );
        value(await kernelOf.attach(me, { kind: 'fentry', target: 'tcp_set_state', program: id }, {}));
      };
      await attach(COUNT_AND_SEND, [counts.id, events.id]);
      await attach(SEND_STACK, [stacks.id]);
      const answer = value(
        await kernelOf.call(me, { function: 'tcp_set_state', args: [{ buffer: '00'.repeat(4096) }, TCP_FIN_WAIT1] }),
      );
      assert.equal(answer.ended, 'returned', JSON.stringify(answer.fault));
      assert.equal(answer.fired.length, 2);
      const sent = value(await kernelOf.consumeMapRecords(me, events.id, {})).records;
      assert.deepEqual(
        sent.map(({ bytes }) => Buffer.from(bytes, 'hex').readBigUInt64LE(8)),
        [BigInt(TCP_FIN_WAIT1)],
      );
      assert.equal(
        `0x${Buffer.from(sent[0]?.bytes ?? '', 'hex')
          .readBigUInt64LE(0)
          .toString(16)}`,
        answer.buffers[0]?.address,
      );
      const entries = value(kernelOf.mapEntries(me, counts.id, { limit: 10 })).items;
      assert.deepEqual(
        entries.map((entry) => [entry.key, entry.value]),
        [['0400000000000000', '0100000000000000']],
      );
      const [stack] = value(await kernelOf.mapRecords(me, stacks.id, {})).records;
      const bytes = Buffer.from(stack?.bytes ?? '', 'hex');
      const words = Array.from({ length: 3 }, (_, i) => bytes.readBigUInt64LE(8 * i));
      const [func] = image.symbols.byName('tcp_set_state');
      // The program, its trampoline, the instruction behind the call that led there.
      assert.ok(
        words[0] !== undefined && words[0] > 0xffff_ffff_c000_0000n && (words[1] ?? 0n) > 0xffff_ffff_c000_0000n,
      );
      assert.ok(func !== undefined && words[2] !== undefined);
      assert.ok([5n, 9n].includes(words[2] - func.address), `${words[2] - func.address}`);
      await kernelOf.close();
    });
  });
}
