import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kernelAddress, seededPrng, toHex } from '../../base/index.ts';
import { assembleBpf, decodeBpf, layOutBpf } from '../bpf/index.ts';
import { type JitedBpf, jitBpf, type PreparedBpf, prepareRawBpf } from '../program/index.ts';
import { type CompileRequest, stackDepthOf } from './index.ts';

const BASE = kernelAddress(0xffff_ffff_8100_0000n);
const CPU: CompileRequest['cpu'] = { bmi2: true, sls: true, ibt: true, indirectJump: { kind: 'plain', hasInt3: true } };

function program(source: string): PreparedBpf {
  const bytes = assembleBpf(source);
  if (!bytes.ok) assert.fail(bytes.fault.detail);
  const prepared = prepareRawBpf(bytes.value);
  if (!prepared.ok) assert.fail(prepared.fault.detail);
  return prepared.value;
}

function jited(source: string, request: Partial<Parameters<typeof jitBpf>[1]> = {}): JitedBpf {
  const result = jitBpf(program(source), { at: 0x100, base: BASE, cpu: CPU, helper: () => 0x5000, ...request });
  if (!result.ok) assert.fail(result.fault.detail);
  return result.value;
}

const refused = (source: string, request: Partial<Parameters<typeof jitBpf>[1]>): string => {
  const result = jitBpf(program(source), { at: 0, base: BASE, cpu: CPU, helper: () => undefined, ...request });
  assert.ok(!result.ok);
  return result.fault.rule;
};

/** endbr64; nop5; nop3; push %rbp; mov %rsp,%rbp; endbr64 */
const PROLOGUE = 'f30f1efa0f1f4400000f1f00554889e5f30f1efa';
const filler = (count: number): string => 'add %r0, 1\n'.repeat(count);

describe('compileBpf', () => {
  it('has the prologue of the kernel, with and without IBT', () => {
    assert.equal(toHex(jited('exit').bytes), `${PROLOGUE}c9c3cc`);
    assert.equal(
      toHex(jited('exit', { cpu: { ...CPU, ibt: false, sls: false } }).bytes),
      '0f1f4400000f1f00554889e5c9c3',
    );
  });

  it('returns through a thunk', () => {
    const { bytes } = jited('exit', { at: 0x1000, cpu: { ...CPU, returnThunk: 0x1000 } });
    assert.equal(toHex(bytes).slice(PROLOGUE.length), `c9e9${'e6ffffff'}`);
  });

  it('saves the registers that are named, and no others', () => {
    assert.equal(toHex(jited('mov %r8, 0\nexit').bytes).slice(PROLOGUE.length), '41564531f6415ec9c3cc');
  });

  it('has one epilogue, to which other exits jump', () => {
    const { bytes } = jited('jeq %r1, 0, a\nexit\na: exit');
    assert.equal(toHex(bytes).slice(PROLOGUE.length), '4885ff7403c9c3cceb' + 'fb');
  });

  it('drops a jump to the next instruction', () => {
    assert.equal(toHex(jited('ja +0\nexit').bytes), `${PROLOGUE}c9c3cc`);
  });

  it('makes a jump long exactly when it has to be', () => {
    const jumpOver = (bytes: number): number =>
      jited(`ja end\n${filler(bytes / 4)}end: exit`).bytes.length - bytes - 23;
    assert.equal(jumpOver(120), 2);
    assert.equal(jumpOver(124), 5);
    const back = (bytes: number): number =>
      jited(`again: ${filler(bytes / 4)}ja again\nexit`).bytes.length - bytes - 23;
    assert.equal(back(120), 2);
    // It would fit if it were short already; measured as long as it is, it does not. The kernel decides so, too.
    assert.equal(back(124), 5);
  });

  it('says where each slot went', () => {
    const source = `jeq %r1, 0, end\n${filler(40)}lddw %r0, 0x1122334455667788\nend: exit`;
    const { bytes, slotStarts } = jited(source);
    const exit = slotStarts.at(-1) as number;
    assert.deepEqual([slotStarts[0], bytes[exit], slotStarts[42]], [20, 0xc9, exit]);
  });

  it('calls helpers and functions of the program, counted for where call depth is tracked', () => {
    const plain = jited('call 1\ncall local f\nexit\nf: mov %r0, 1\nexit');
    const tracked = jited('call 1\ncall local f\nexit\nf: mov %r0, 1\nexit', { cpu: { ...CPU, callDepth: 0 } });
    assert.equal(tracked.bytes.length - plain.bytes.length, 18);
    const [main, callee] = plain.functions;
    assert.equal(main?.end, callee?.start);
    const call = Buffer.from(plain.bytes).readInt32LE(20 + 5 + 1);
    assert.equal(20 + 10 + call, callee?.start);
  });

  it('carries the count of tail calls to who may make one', () => {
    const tailCall = { maxEntries: 0x24, ptrs: 0x100, bpfFunc: 0x30 };
    const { bytes, functions } = jited('call local f\nexit\nf: call 12\nexit', { tailCall });
    const hex = toHex(bytes);
    // xor %rax,%rax in place of the nop; the pointer to the count is loaded for the callee.
    assert.ok(hex.startsWith('f30f1efa0f1f4400004831c0554889e5f30f1efa4883f8217706504889e0eb015050'));
    assert.ok(hex.includes('488b85f0ffffffe8'));
    assert.equal(
      hex.slice(2 * (functions[1]?.start ?? 0)).startsWith('f30f1efa0f1f4400000f1f00554889e5f30f1efa5050'),
      true,
    );
  });

  it('refuses what it cannot reach or does not know', () => {
    assert.equal(refused('call 1\nexit', {}), 'bpf.helper.unknown');
    assert.equal(refused('call 12\nexit', {}), 'bpf.jit.no-tail-call');
    assert.equal(refused('call %r2\nexit', {}), 'bpf.helper.unknown');
    assert.equal(refused('call 1\nexit', { helper: () => 0x1_0000_0000 }), 'bpf.jit.range');
  });

  it('keeps an exception table entry for a load that may fault', () => {
    const code = decodeBpf(Buffer.from('3921080000000000' + '9500000000000000', 'hex'), { allowsInternal: true });
    assert.ok(code.ok);
    const functions = layOutBpf(code.value);
    assert.ok(functions.ok);
    const xlated = { code: code.value, functions: functions.value };
    const result = jitBpf({ xlated }, { at: 0, base: BASE, cpu: CPU, helper: () => undefined });
    assert.ok(result.ok);
    const [entry] = result.value.extable;
    assert.ok(entry !== undefined);
    assert.equal(toHex(result.value.bytes.subarray(entry.at, entry.resumeAt)), '488b7e08');
    assert.equal(entry.clears, 7);
  });

  it('blinds differently each time', () => {
    const once = jited('mov %r0, 0x1234\nexit', { blind: seededPrng(1) });
    const again = jited('mov %r0, 0x1234\nexit', { blind: seededPrng(2) });
    assert.equal(once.bytes.length, again.bytes.length);
    assert.notDeepEqual(once.bytes, again.bytes);
  });
});

describe('stackDepthOf', () => {
  const depth = (source: string): number => {
    const { code, functions } = program(source).source;
    return stackDepthOf(code, functions[0] as (typeof functions)[number]);
  };
  it('is what the accesses reach', () => {
    assert.equal(depth('exit'), 0);
    assert.equal(depth('stw [%r10-12], 1\nldxb %r0, [%r10-1]\nexit'), 12);
  });
  it('is everything once the address goes elsewhere', () => {
    assert.equal(depth('mov %r1, %r10\nexit'), 512);
    assert.equal(depth('stxdw [%r10-8], %r10\nexit'), 512);
  });
});
