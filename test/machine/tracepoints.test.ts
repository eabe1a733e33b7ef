/** Goal: programs at a tracepoint run when text comes by it: raw ones with its arguments, those of an event with the record that the kernel's own code writes. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import {
  type CallAnswer,
  type Coordinator,
  createCoordinator,
  type LoadProgramRequest,
} from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { call, EXIT, insn, load64, mapValue, mov, movImm, program, store64 } from '../support/bpf-code.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { value } from '../support/results.ts';

const NAME = 'inet_sock_set_state';
const FUNCTION = 'tcp_set_state';
const TCP_FIN_WAIT1 = 4;
const WORDS = 3;

const load32 = (dst: number, src: number, off: number): string => insn(0x61, dst, src, off);
const load8 = (dst: number, src: number, off: number): string => insn(0x71, dst, src, off);

/** Three words of what is read: by `read`, with the context in R6, into R2. */
const sees = (...reads: readonly string[]): string =>
  program(
    mov(6, 1),
    mapValue(7, 0),
    ...reads.map((read, word) => program(read, store64(7, word * 8, 2))),
    movImm(0, 0),
    EXIT,
  );

const RAW = sees(load64(2, 6, 0), load64(2, 6, 8), load64(2, 6, 16));

const me = caller();

class Lab {
  readonly kernel: Coordinator;
  constructor(image: KernelImage) {
    this.kernel = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) });
  }

  async map(): Promise<string> {
    const spec = { name: 'seen', type: 'array', keySize: 4, valueSize: WORDS * 8, maxEntries: 1 } as const;
    return value(await this.kernel.createMap(me, spec)).id;
  }

  load(type: LoadProgramRequest['type'], bytecode: string, map: string, attachTo?: string) {
    const maps = [map];
    return this.kernel.loadProgram(me, { type, bytecode, maps, ...(attachTo === undefined ? {} : { attachTo }) });
  }

  attach(id?: string, options: Readonly<Record<string, unknown>> = {}) {
    const program = id === undefined ? {} : { program: id };
    const request = { kind: 'tracepoint', target: NAME, options, ...program } as const;
    return this.kernel.attach(me, request, {});
  }

  /** Loads and attaches; answers what it sees. */
  async attached(type: LoadProgramRequest['type'], bytecode: string, attachTo?: string) {
    const map = await this.map();
    const { id } = value(await this.load(type, bytecode, map, attachTo));
    const attachment = value(await this.attach(id)).id;
    const words = (): readonly bigint[] => {
      const [entry] = value(this.kernel.mapEntries(me, map, { limit: 1 })).items;
      const bytes = Buffer.from(entry?.value ?? '', 'hex');
      return Array.from({ length: WORDS }, (_, i) => bytes.readBigUInt64LE(i * 8));
    };
    return { id, attachment, words };
  }

  async call(): Promise<CallAnswer> {
    const args = [{ buffer: '00'.repeat(4096) }, TCP_FIN_WAIT1];
    const answer = value(await this.kernel.call(me, { function: FUNCTION, args }));
    assert.equal(answer.ended, 'returned', JSON.stringify(answer.fault));
    return answer;
  }
}

const KERNELS = [
  { name: 'the built-in kernel', skip: false as const, image: builtinImage, hasEvents: false },
  ...[RECORDED_6_12, RECORDED_6_1].map((name) => {
    const { path, skip } = realKernel(name);
    return { name, skip, image: () => kernelImage(path), hasEvents: true };
  }),
];

for (const { name, skip, image: load, hasEvents } of KERNELS)
  describe(`programs at tracepoints of ${name}`, { skip }, () => {
    let image: KernelImage;
    let lab: Lab;
    before(async () => {
      image = await load();
      lab = new Lab(image);
    });
    after(() => lab.kernel.close());

    it('raw: get the arguments, beside probes that count, and leave nothing behind', async () => {
      const pristine = await lab.call();
      const raw = await lab.attached('raw_tracepoint', RAW);
      const alone = await lab.call();
      assert.deepEqual(
        alone.fired.map(({ attachment }) => attachment),
        [raw.attachment],
      );
      assert.equal(alone.returnValue, pristine.returnValue);
      assert.deepEqual(raw.words(), [BigInt(alone.buffers[0]?.address ?? 0), 0n, BigInt(TCP_FIN_WAIT1)]);
      const counting = value(await lab.attach()).id;
      const again = await lab.attached('raw_tracepoint', RAW);
      const all = await lab.call();
      const order = [raw.attachment, counting, again.attachment];
      assert.deepEqual(
        all.fired.map(({ attachment }) => attachment),
        order,
        'the oldest first, through the iterator',
      );
      assert.deepEqual(again.words(), [BigInt(all.buffers[0]?.address ?? 0), 0n, BigInt(TCP_FIN_WAIT1)]);
      const busy = await lab.kernel.unloadProgram(me, raw.id);
      assert.ok(!busy.ok && busy.fault.errno === 'EBUSY');
      for (const id of order) value(await lab.kernel.detach(me, id));
      assert.equal((await lab.call()).fired.length, 0);
      value(await lab.kernel.unloadProgram(me, raw.id));
    });

    it('raw: may read no more than there is, which is looked at when they are attached', async () => {
      const map = await lab.map();
      const { id } = value(await lab.load('raw_tracepoint', sees(load64(2, 6, 24)), map));
      const refused = await lab.attach(id);
      assert.ok(!refused.ok);
      assert.deepEqual([refused.fault.rule, refused.fault.errno], ['tracepoint.program.context', 'EINVAL']);
    });

    it('tp_btf: know the types of the arguments', async () => {
      const offset = image.btf?.struct('sock_common')?.offsets.get('skc_state');
      const state = offset ?? image.btf?.struct('sock')?.offsets.get('skc_state') ?? 0;
      const typed = sees(program(load64(3, 6, 0), load8(2, 3, state)), load32(2, 6, 8), load32(2, 6, 16));
      const { words, attachment } = await lab.attached('tp_btf', typed, NAME);
      await lab.call();
      assert.deepEqual(words(), [0n, 0n, BigInt(TCP_FIN_WAIT1)]);
      value(await lab.kernel.detach(me, attachment));
      const beyond = await lab.load('tp_btf', sees(load64(2, 6, 24)), await lab.map(), NAME);
      assert.ok(!beyond.ok);
      assert.match(beyond.fault.detail, /invalid bpf_context access off=24 size=8/i);
      assert.match(JSON.stringify(beyond.fault), /func 'inet_sock_set_state' doesn't have 4-th argument/);
      const write = await lab.load('tp_btf', program(movImm(0, 0), store64(1, 0, 0), EXIT), await lab.map(), NAME);
      assert.ok(!write.ok);
    });

    it('answer the cookie that each was attached with', async () => {
      const asks = sees(program(mov(1, 6), call(174), mov(2, 0)), movImm(2, 0), movImm(2, 0));
      const cookies = ['0x1122334455667788', 7] as const;
      for (const type of ['raw_tracepoint', 'tp_btf', 'tracepoint'] as const) {
        if (type === 'tracepoint' && !hasEvents) continue;
        const map = await lab.map();
        const loaded = await lab.load(type, asks, map, type === 'tp_btf' ? NAME : undefined);
        if (type !== 'tracepoint' && name === RECORDED_6_1) {
          assert.ok(!loaded.ok);
          assert.deepEqual([loaded.fault.rule, loaded.fault.errno], ['bpf.helper.unknown', 'EINVAL']);
          const plain = value(await lab.load('raw_tracepoint', RAW, map));
          const refused = await lab.attach(plain.id, { cookie: 7 });
          assert.ok(!refused.ok);
          assert.equal(refused.fault.rule, 'tracepoint.program.cookie');
          continue;
        }
        const { id } = value(loaded);
        for (const cookie of [...cookies, undefined]) {
          const options = cookie === undefined ? {} : { cookie };
          const attachment = value(await lab.attach(id, options)).id;
          await lab.call();
          const [entry] = value(lab.kernel.mapEntries(me, map, { limit: 1 })).items;
          const answered = Buffer.from(entry?.value ?? '', 'hex').readBigUInt64LE(0);
          assert.equal(answered, BigInt(cookie ?? 0), type);
          value(await lab.kernel.detach(me, attachment));
        }
      }
    });

    it('of an event: read its record, one probe for all of them', async () => {
      const record = sees(load64(2, 6, 8), load32(2, 6, 16), load32(2, 6, 20));
      const map = await lab.map();
      const { id } = value(await lab.load('tracepoint', record, map));
      const first = await lab.attach(id);
      if (!hasEvents) {
        assert.ok(!first.ok);
        assert.deepEqual([first.fault.rule, first.fault.errno], ['tracepoint.program.event', 'EOPNOTSUPP']);
        return;
      }
      value(first);
      const second = await lab.attached('tracepoint', record);
      const site = image.symbols.offsetOf(`perf_trace_${NAME}`);
      assert.ok(site !== undefined);
      const answer = await lab.call();
      assert.deepEqual(
        answer.fired.map(({ attachment }) => attachment),
        [value(first).id, second.attachment],
      );
      assert.deepEqual(second.words(), [BigInt(answer.buffers[0]?.address ?? 0), 0n, BigInt(TCP_FIN_WAIT1)]);
      value(await lab.kernel.detach(me, value(first).id));
      assert.equal((await lab.call()).fired.length, 1);
      value(await lab.kernel.detach(me, second.attachment));
      const end = image.btf?.struct(`trace_event_raw_${NAME}`)?.offsets.get('__data') ?? 0;
      const far = value(await lab.load('tracepoint', sees(load64(2, 6, end)), map));
      const refused = await lab.attach(far.id);
      assert.ok(!refused.ok);
      assert.deepEqual([refused.fault.rule, refused.fault.errno], ['tracepoint.program.context', 'EACCES']);
    });
  });
