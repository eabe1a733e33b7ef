/** Goal: programs at events that share a class get the record of the class, and raw ones the arguments, from the functions that the class has for all its events. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { type Coordinator, createCoordinator, type LoadProgramRequest } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { EXIT, insn, load64, mapValue, mov, movImm, program, store64 } from '../support/bpf-code.ts';
import { caller } from '../support/coordinators.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { value } from '../support/results.ts';

const me = caller();
const EVENTS = ['sched_wakeup', 'sched_wakeup_new', 'sched_waking'] as const;
const RECORD = 'trace_event_raw_sched_wakeup_template';
const [PID, PRIO] = [4711, 120];
const load32 = (dst: number, src: number, off: number): string => insn(0x61, dst, src, off);

for (const name of [RECORDED_6_12, RECORDED_6_1]) {
  const { path, skip } = realKernel(name);
  describe(`events of one class of ${name}`, { skip }, () => {
    let image: KernelImage;
    let kernel: Coordinator;
    before(async () => {
      image = await kernelImage(path);
      kernel = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) });
    });
    after(() => kernel.close());

    const offset = (tag: string, member: string): number =>
      image.btf?.struct(tag)?.offsets.get(member) ?? assert.fail();

    /** Two words of what is read: by `reads`, with the context in R6, into R2. */
    async function attached(event: string, type: LoadProgramRequest['type'], reads: readonly [string, string]) {
      const spec = { name: 'seen', type: 'array', keySize: 4, valueSize: 16, maxEntries: 1 } as const;
      const map = value(await kernel.createMap(me, spec)).id;
      const bytecode = program(
        mov(6, 1),
        mapValue(7, 0),
        ...reads.flatMap((read, word) => [read, store64(7, word * 8, 2)]),
        movImm(0, 0),
        EXIT,
      );
      const where = type === 'tp_btf' ? { attachTo: event } : {};
      const { id } = value(await kernel.loadProgram(me, { type, bytecode, maps: [map], ...where }));
      const attachment = value(await kernel.attach(me, { kind: 'tracepoint', target: event, program: id }, {})).id;
      const words = (): readonly number[] => {
        const [entry] = value(kernel.mapEntries(me, map, { limit: 1 })).items;
        const bytes = Buffer.from(entry?.value ?? '', 'hex');
        return [Number(bytes.readBigUInt64LE(0)), Number(bytes.readBigUInt64LE(8))];
      };
      return { attachment, words };
    }

    /** What the tracepoint does when text comes by it, for a task with that pid and priority. */
    async function happens(event: string): Promise<readonly string[]> {
      const task = Buffer.alloc(image.btf?.struct('task_struct')?.size ?? 0);
      task.writeInt32LE(PID, offset('task_struct', 'pid'));
      task.writeInt32LE(PRIO, offset('task_struct', 'prio'));
      const request = { function: `__traceiter_${event}`, args: [0, { buffer: task.toString('hex') }] };
      const answer = value(await kernel.call(me, request));
      assert.equal(answer.ended, 'returned', JSON.stringify(answer.fault));
      return answer.fired.map(({ attachment }) => attachment);
    }

    it('have one record, and each its own programs', async () => {
      const reads = [load32(2, 6, offset(RECORD, 'pid')), load32(2, 6, offset(RECORD, 'prio'))] as const;
      const seen = await Promise.all(
        EVENTS.map(async (event) => ({ event, ...(await attached(event, 'tracepoint', reads)) })),
      );
      for (const { event, attachment, words } of seen) {
        assert.deepEqual(words(), [0, 0]);
        assert.deepEqual(await happens(event), [attachment]);
        assert.deepEqual(words(), [PID, PRIO], event);
      }
      for (const { attachment } of seen) value(await kernel.detach(me, attachment));
    });

    it('give raw programs the task', async () => {
      const at = (member: string) => offset('task_struct', member);
      const typed = (member: string): string => program(load64(2, 6, 0), load32(2, 2, at(member)));
      for (const event of EVENTS) {
        const { attachment, words } = await attached(event, 'tp_btf', [typed('pid'), typed('prio')]);
        assert.deepEqual(await happens(event), [attachment]);
        assert.deepEqual(words(), [PID, PRIO], event);
        value(await kernel.detach(me, attachment));
      }
    });

    it('are all that the kernel has, with the record of their class in its types', () => {
      let shared = 0;
      for (const [, { probe }] of image.traceEvents) {
        const writer = image.symbols.containing(probe)?.name ?? '';
        assert.match(writer, /^perf_trace_/);
        if (image.symbols.offsetOf(`__tracepoint_${writer.slice('perf_trace_'.length)}`) === undefined) shared += 1;
      }
      assert.ok(image.traceEvents.size > 600 && shared > 250, `${shared} of ${image.traceEvents.size}`);
      assert.ok(image.rawProbes.size >= image.traceEvents.size);
    });
  });
}
