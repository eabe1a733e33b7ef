/** Helpers: the interpreter and machine code on the simulated CPU agree, on programs written for each and on random ones. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HELPER_BODIES, type HelperContext, TAIL_CALL_LAYOUT } from '../../src/jit/index.ts';
import {
  add,
  addImm,
  call,
  EXIT,
  functionAt,
  insn,
  jumpIfZero,
  load64,
  mapAt,
  mapValue,
  mov,
  movImm,
  program,
  store64,
  storeImm,
  storeImm64,
} from '../support/bpf-code.ts';
import { made, run, spec, stackAt, value } from './support/run-helpers.ts';

const FORMAT = '%d %u %x %5d|%-4d|%04x %ld %s %c %% %p\n\0';
const EINVAL = -22n;
const ERANGE = -34n;
const EFAULT = -14n;

describe('helpers, both ways', () => {
  it('update, look up and delete', () => {
    const hash = made(1, spec('hash'));
    const update = program(mapAt(1, 0), stackAt(2, -4), stackAt(3, -16), movImm(4, 1), call(2));
    const put = program(storeImm(10, -4, 5), storeImm64(10, -16, 77), update);
    const find = program(mapAt(1, 0), stackAt(2, -4), call(1));
    assert.equal(value(run(program(put, find, jumpIfZero(0, 1), load64(0, 0), EXIT), [hash])), 77n);
    assert.equal(value(run(program(put, update, EXIT), [hash])), -17n);
    const gone = program(put, mapAt(1, 0), stackAt(2, -4), call(3), mov(6, 0), find, add(0, 6), EXIT);
    assert.equal(value(run(gone, [hash])), 0n);
  });

  it('loop over a function of the program, and over the elements of a map', () => {
    // The callback adds its first argument to *ctx, and ends the loop at 10.
    const callback = program(
      load64(3, 2),
      add(3, 1),
      store64(2, 0, 3),
      movImm(0, 0),
      insn(0x55, 1, 0, 1, 10),
      movImm(0, 1),
      EXIT,
    );
    const loop = (rounds: number): string =>
      program(
        storeImm64(10, -8, 0),
        movImm(1, rounds),
        functionAt(2, 9),
        stackAt(3, -8),
        movImm(4, 0),
        call(181),
        load64(1, 10, -8),
        insn(0x67, 0, 0, 0, 32),
        add(0, 1),
        EXIT,
        callback,
      );
    assert.equal(value(run(loop(5), [])), (5n << 32n) + 10n);
    assert.equal(value(run(loop(100), [])), (11n << 32n) + 55n);
    const array = made(1, spec('array'), (area) => {
      for (let i = 0; i < 4; i++) area.setU64(4096 + 8 * i, BigInt(10 ** i));
    });
    // The callback adds the value and the key to *ctx.
    const each = program(
      load64(5, 3),
      insn(0x61, 2, 2),
      add(5, 2),
      load64(2, 4),
      add(5, 2),
      store64(4, 0, 5),
      movImm(0, 0),
      EXIT,
    );
    const over = program(
      storeImm64(10, -8, 0),
      mapAt(1, 0),
      functionAt(2, 7),
      stackAt(3, -8),
      movImm(4, 0),
      call(164),
      load64(0, 10, -8),
      EXIT,
      each,
    );
    assert.equal(value(run(over, [array])), 1117n);
  });

  it('call another program in place of this one, and come back when there is none', () => {
    const prog = 0xffff_c900_0000_2000n;
    const array = made(1, spec('prog_array', { valueSize: 4 }), (area) =>
      area.setU64(TAIL_CALL_LAYOUT.ptrs + 8 * 2, prog),
    );
    const callee = { bytecode: program(movImm(0, 99), EXIT), maps: [], prog };
    const to = (index: number): string =>
      program(movImm(6, 3), mapAt(2, 0), movImm(3, index), call(12), movImm(0, 7), add(0, 6), EXIT);
    assert.equal(value(run(to(2), [array], { callees: [callee] })), 99n);
    assert.equal(value(run(to(1), [array], { callees: [callee] })), 10n);
    assert.equal(value(run(to(4), [array], { callees: [callee] })), 10n);
    // A program that calls itself ends after 33 rounds; it counts them in a map.
    const counter = made(2, spec('array', { maxEntries: 1 }));
    const again = {
      bytecode: program(
        mapValue(1, 1),
        load64(2, 1),
        addImm(2, 1),
        store64(1, 0, 2),
        mapAt(2, 0),
        movImm(3, 2),
        call(12),
        mapValue(1, 1),
        load64(0, 1),
        EXIT,
      ),
      maps: [array, counter],
      prog,
    };
    assert.equal(value(run(again.bytecode, [array, counter], { callees: [again], prog })), 34n);
  });

  it('read numbers as strtol and strtoul do', () => {
    const read = (helper: number, text: string, flags = 0): readonly [bigint, bigint] => {
      const words = made(1, spec('array', { maxEntries: 1, valueSize: 80 }), (area) =>
        area.write(4096, new TextEncoder().encode(text)),
      );
      const code = (last: readonly string[]): string =>
        program(mapValue(1, 0), movImm(2, text.length), movImm(3, flags), stackAt(4, -8), call(helper), ...last, EXIT);
      return [value(run(code([]), [words])), value(run(code([load64(0, 10, -8)]), [words]))];
    };
    const [STRTOL, STRTOUL] = [105, 106];
    assert.deepEqual(read(STRTOL, ' \t-42x'), [5n, -42n]);
    assert.deepEqual(read(STRTOL, '0x1fZ'), [4n, 31n]);
    assert.deepEqual(read(STRTOL, '0xg'), [1n, 0n]);
    assert.deepEqual(read(STRTOL, '0779'), [3n, 63n]);
    assert.deepEqual(read(STRTOL, 'ff', 16), [2n, 255n]);
    assert.deepEqual(read(STRTOL, '0xff', 16), [4n, 255n]);
    assert.deepEqual(read(STRTOL, '12', 7), [EINVAL, 0n]);
    assert.deepEqual(read(STRTOL, '-'), [EINVAL, 0n]);
    assert.deepEqual(read(STRTOL, '-9223372036854775808'), [20n, -(1n << 63n)]);
    assert.deepEqual(read(STRTOL, '-9223372036854775809'), [ERANGE, 0n]);
    assert.deepEqual(read(STRTOL, '9223372036854775808'), [ERANGE, 0n]);
    assert.deepEqual(read(STRTOUL, '18446744073709551615'), [20n, -1n]);
    assert.deepEqual(read(STRTOUL, '18446744073709551616'), [ERANGE, 0n]);
    assert.deepEqual(read(STRTOUL, '-1'), [EINVAL, 0n]);
  });

  it('tell time in ticks of 4 ms, from five minutes before jiffies wrap', () => {
    const at = (id: number, ns: bigint): unknown =>
      HELPER_BODIES.get(id)?.([0n, 0n, 0n, 0n, 0n], { now: () => ns } as HelperContext);
    assert.equal(at(118, 0n), 0x1_0000_0000n - 75_000n);
    assert.equal(at(118, 300_000_000_001n), 0x1_0000_0000n);
    assert.equal(at(160, 12_345_678_901n), 12_344_000_000n);
  });

  it('print', () => {
    const text = made(1, spec('array', { maxEntries: 1, valueSize: 64 }), (area) =>
      area.write(4096, new TextEncoder().encode(`${FORMAT}str\0`)),
    );
    const printk = (size: number): string =>
      program(mapValue(1, 0), movImm(2, size), movImm(3, -1), movImm(4, -1), movImm(5, 255), call(6), EXIT);
    // More directives than arguments.
    assert.equal(value(run(printk(FORMAT.length), [text])), EINVAL);
    const data = program(
      ...[-1, -1, 255, 42, 7, 10, -5].map((each, i) => storeImm64(10, -80 + 8 * i, each)),
      mapValue(1, 0, FORMAT.length),
      store64(10, -24, 1),
      storeImm64(10, -16, 65),
      storeImm64(10, -8, 0),
    );
    const vprintk = program(
      data,
      mapValue(1, 0),
      movImm(2, FORMAT.length),
      stackAt(3, -80),
      movImm(4, 80),
      call(177),
      EXIT,
    );
    const done = run(vprintk, [text]);
    assert.deepEqual(done.answer.log, [
      'swapper/0-0 [000] bpf_trace_printk: -1 4294967295 ff    42|7   |000a -5 str A % (____ptrval____)',
    ]);
    const snprintf = program(
      data,
      storeImm64(10, -120, 0),
      stackAt(1, -120),
      movImm(2, 4),
      mapValue(3, 0),
      stackAt(4, -80),
      movImm(5, 80),
      call(165),
      mov(6, 0),
      load64(0, 10, -120),
      EXIT,
    );
    assert.equal(value(run(snprintf, [text])), BigInt(Buffer.from('-1 \0').readUInt32LE()));
  });

  it('read memory that may not be there', () => {
    const array = made(1, spec('array', { maxEntries: 1 }), (area) =>
      area.write(4096, new TextEncoder().encode('abc\0defg')),
    );
    const readStr = program(storeImm64(10, -8, -1), stackAt(1, -8), movImm(2, 8), mapValue(3, 0), call(115), EXIT);
    assert.equal(value(run(readStr, [array])), 4n);
    const wild = program(
      storeImm64(10, -8, -1),
      stackAt(1, -8),
      movImm(2, 8),
      movImm(3, 0),
      call(113),
      mov(6, 0),
      load64(0, 10, -8),
      add(0, 6),
      EXIT,
    );
    assert.equal(value(run(wild, [])), EFAULT);
    const comm = program(storeImm64(10, -8, -1), stackAt(1, -8), movImm(2, 8), call(16), load64(0, 10, -8), EXIT);
    assert.equal(value(run(comm, [])), Buffer.from('swapper\0').readBigInt64LE());
  });

  it('fill a ring buffer, and say how full it is', () => {
    const ring = made(1, spec('ringbuf', { keySize: 0, valueSize: 0, maxEntries: 4096 }));
    const output = program(mapAt(1, 0), stackAt(2, -8), movImm(3, 8), movImm(4, 0), call(130));
    const query = (what: number): string => program(mapAt(1, 0), movImm(2, what), call(134), EXIT);
    assert.equal(value(run(program(storeImm64(10, -8, 1), output, output, query(0)), [ring])), 32n);
    assert.equal(value(run(query(1), [ring])), 4096n);
    const discard = program(
      mapAt(1, 0),
      movImm(2, 100),
      movImm(3, 0),
      call(131),
      mov(1, 0),
      movImm(2, 0),
      call(133),
      query(3),
    );
    assert.equal(value(run(discard, [ring])), 112n);
    const tooLarge = program(mapAt(1, 0), movImm(2, 4096), movImm(3, 0), call(131), EXIT);
    assert.equal(value(run(tooLarge, [ring])), 0n);
  });

  it('end the program where in Linux the kernel would have oopsed', () => {
    const hash = made(1, spec('hash'));
    const wild = program(mapAt(1, 0), movImm(2, 0), call(1), EXIT);
    assert.deepEqual(run(wild, [hash]).answer.fault?.reason, 'load');
    const nowhere = program(movImm(1, 8), stackAt(2, -8), call(1), EXIT);
    assert.deepEqual(run(nowhere, [hash]).answer.fault?.reason, 'load');
  });
});

/** One step on map `index`, with key and value from the stack; the answer is added to R7. */
interface Step {
  readonly index: number;
  readonly helper: 1 | 2 | 3;
  readonly key: number;
  readonly byte: number;
  readonly flags: number;
}

const KEYED = ['hash', 'array', 'lru_hash', 'percpu_hash', 'percpu_array', 'lru_percpu_hash'] as const;

const steps = fc.array(
  fc.record({
    index: fc.nat(KEYED.length - 1),
    helper: fc.constantFrom(1 as const, 2 as const, 2 as const, 3 as const),
    key: fc.nat(5),
    byte: fc.integer({ min: -100, max: 100 }),
    flags: fc.nat(3),
  }),
  { maxLength: 24 },
);

/** What a look-up finds is added, and changed in place; addresses, which are the same both ways, are not. */
const stepCode = ({ index, helper, key, byte, flags }: Step): string =>
  program(
    storeImm(10, -4, key),
    storeImm64(10, -16, byte),
    mapAt(1, index),
    stackAt(2, -4),
    stackAt(3, -16),
    movImm(4, flags),
    call(helper),
    ...(helper === 1 ? [jumpIfZero(0, 4), load64(1, 0), add(7, 1), addImm(1, byte), store64(0, 0, 1)] : [add(7, 0)]),
  );

describe('random programs', () => {
  it('leave the same in maps, both ways', () => {
    const maps = KEYED.map((type, i) => made(i + 1, spec(type)));
    fc.assert(
      fc.property(steps, (all) => {
        const done = run(program(movImm(7, 0), ...all.map(stepCode), mov(0, 7), EXIT), maps);
        assert.notEqual(done.answer.returnValue, null);
      }),
      { numRuns: 60 },
    );
  });
});
