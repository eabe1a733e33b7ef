import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ReadableText, toHex } from '../../base/index.ts';
import { decodeInsn } from '../../insn/index.ts';
import { type FtraceTrampolineRequest, ftraceCallerSymbols, generateFtraceTrampoline } from '../index.ts';

const START = 0x9_0000;
const AT = 0x3f00_0000;
const TARGET = 0x12_3456;
const OPS = 0xffff_ffff_c012_3000n;

/** sar %gs:depth; sub; mov function_trace_op,%rdx; four and seven bytes of nop; lea into itself; call; test; jnz; add. */
const CALLER =
  '6548c13d00100000 05 4883ec08 488b1500200000 90909090 0f1f8000000000 488d05e0ffffff e800300000 4885c0 7510 4883c408';
const BYTES = Uint8Array.from(Buffer.from(CALLER.replaceAll(' ', ''), 'hex'));
const SYMBOLS = { start: START, end: START + BYTES.length, opPtr: START + 13, call: START + 38, jmp: START + 46 };

const text: ReadableText = {
  contains: (offset, length) => offset >= START && offset + length <= START + BYTES.length,
  u8: (offset) => BYTES[offset - START] ?? 0,
  bytes: (offset, length) => BYTES.slice(offset - START, offset - START + length),
};

const request = (more: Partial<FtraceTrampolineRequest> = {}): FtraceTrampolineRequest => ({
  layout: 'linux-6.12',
  text,
  symbols: SYMBOLS,
  at: AT,
  ops: OPS,
  target: TARGET,
  cpu: { sls: true, ibt: true },
  ...more,
});

function image(more: Partial<FtraceTrampolineRequest> = {}): Uint8Array {
  const result = generateFtraceTrampoline(request(more));
  assert.ok(result.ok, result.ok ? '' : result.fault.detail);
  return result.value;
}

test('6.12: operands that leave the caller move along, those inside stay, neighbouring nops join', () => {
  const bytes = image();
  assert.equal(bytes.length, BYTES.length + 5 + 8);
  assert.equal(decodeInsn(bytes, AT)?.ripRelative?.target, START + 9 + 0x1000);
  assert.equal(toHex(bytes.subarray(20, 31)), '66662e0f1f840000000000');
  assert.equal(decodeInsn(bytes, AT + 31, 31)?.ripRelative?.target, AT + 38 - 0x20);
});

test('each image is made for its own place and from the text as it is then', () => {
  const first = toHex(image());
  const elsewhere = image({ at: AT + 0x400 });
  assert.equal(decodeInsn(elsewhere, AT + 0x400)?.ripRelative?.target, START + 9 + 0x1000);
  const poked = { ...text, bytes: () => BYTES.map((byte, i) => (i === 4 ? byte + 1 : byte)) };
  assert.equal(decodeInsn(image({ text: poked }), AT)?.ripRelative?.target, START + 9 + 0x1001);
  assert.equal(toHex(image()), first);
});

test('6.1 copies the bytes as they are', () => {
  const bytes = image({ layout: 'linux-6.1' });
  assert.equal(toHex(bytes.subarray(0, 13)), toHex(BYTES.subarray(0, 13)));
  assert.equal(toHex(bytes.subarray(20, 31)), toHex(BYTES.subarray(20, 31)));
});

test('the ops: its address lies behind the return and the load points at it', () => {
  for (const layout of ['linux-6.12', 'linux-6.1'] as const) {
    const bytes = image({ layout });
    const pointer = bytes.length - 8;
    assert.equal(new DataView(bytes.buffer).getBigUint64(pointer, true), OPS);
    assert.equal(decodeInsn(bytes, AT + 13, 13)?.ripRelative?.target, AT + pointer);
  }
});

test('the call goes to the callback and the jump to the direct-call tail is gone', () => {
  const bytes = image();
  assert.equal(decodeInsn(bytes, AT + 38, 38)?.target, TARGET);
  assert.equal(toHex(bytes.subarray(46, 48)), '6690');
});

test('it ends in ret and int3, or in a jump to the return thunk', () => {
  const end = BYTES.length;
  assert.equal(toHex(image().subarray(end, end + 5)), 'c3cccccccc');
  const thunk = { sls: true, ibt: true, returnThunk: 0xf0_410b };
  assert.equal(decodeInsn(image({ cpu: thunk }), AT + end, end)?.target, 0xf0_410b);
  // Against ITS the thunk serves the lower half of a cache line: end is 52, in the upper one.
  const its = { ...thunk, returnThunkIsIts: true };
  assert.equal(image({ cpu: its })[end], 0xc3);
  assert.equal(decodeInsn(image({ cpu: its, at: AT + 32 }), AT + 32 + end, end)?.target, 0xf0_410b);
});

test('a long run of nops becomes a jump over int3', () => {
  const long = Uint8Array.from(Buffer.from(`488b1500000000${'90'.repeat(20)}e80000000090`, 'hex'));
  const bytes = image({
    text: { ...text, contains: () => true, bytes: () => long },
    symbols: { start: START, end: START + long.length, opPtr: START, call: START + 27 },
  });
  assert.equal(toHex(bytes.subarray(7, 27)), `eb12${'cc'.repeat(18)}`);
  assert.equal(bytes[32], 0x90);
});

test('what create_trampoline does not recognise is EINVAL', () => {
  const detail = (more: Partial<FtraceTrampolineRequest>): string => {
    const result = generateFtraceTrampoline(request(more));
    assert.equal(result.ok, false);
    return result.ok ? '' : `${result.fault.errno} ${result.fault.detail}`;
  };
  assert.match(detail({ symbols: { ...SYMBOLS, jmp: START } }), /EINVAL .*jnz/);
  assert.match(detail({ symbols: { ...SYMBOLS, opPtr: START } }), /EINVAL .*function_trace_op/);
  assert.match(detail({ symbols: { ...SYMBOLS, end: START } }), /EINVAL .*labels/);
  assert.match(detail({ symbols: { ...SYMBOLS, end: SYMBOLS.end + 1 } }), /EINVAL .*labels/);
  assert.match(detail({ target: 0xf000_0000 }), /EINVAL .*reach/);
  assert.match(detail({ at: 0x9100_0000 }), /EINVAL .*reach/);
  const broken = { ...text, bytes: () => BYTES.map((byte, i) => (i === 20 ? 0xd5 : byte)) };
  assert.match(detail({ text: broken }), /EINVAL .*decode/);
});

test('the labels come from the symbol table; a missing one is reported', () => {
  const table: Readonly<Record<string, number>> = {
    ftrace_caller: 1,
    ftrace_caller_end: 2,
    ftrace_caller_op_ptr: 3,
    ftrace_call: 4,
    ftrace_regs_caller: 5,
    ftrace_regs_caller_end: 6,
    ftrace_regs_caller_op_ptr: 7,
    ftrace_regs_call: 8,
    ftrace_regs_caller_jmp: 9,
  };
  const without = (gone: string) => (name: string) => (name === gone ? undefined : table[name]);
  assert.deepEqual(ftraceCallerSymbols(without(''), false), { start: 1, end: 2, opPtr: 3, call: 4 });
  assert.deepEqual(ftraceCallerSymbols(without(''), true), { start: 5, end: 6, opPtr: 7, call: 8, jmp: 9 });
  assert.equal(ftraceCallerSymbols(without('ftrace_call'), false), undefined);
  assert.equal(ftraceCallerSymbols(without('ftrace_regs_caller_jmp'), true), undefined);
});
