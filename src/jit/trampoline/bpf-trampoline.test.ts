import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { replayable } from '../../../test/insn/replay.ts';
import * as at from '../../../test/jit/request.ts';
import { toHex } from '../../base/index.ts';
import { decodeInsn, type Insn } from '../../insn/index.ts';
import {
  type BpfTrampolineRequest,
  type GeneratedTrampoline,
  generateBpfTrampoline,
  trampolineFlags,
  trampolineSymbols,
} from '../index.ts';

const FILE = 'src/jit/bpf-trampoline.test.ts';
const { program, request } = at;

function generated(wanted: BpfTrampolineRequest): GeneratedTrampoline {
  const result = generateBpfTrampoline(wanted);
  assert.ok(result.ok, result.ok ? '' : result.fault.detail);
  return result.value;
}

function fault(wanted: BpfTrampolineRequest): readonly string[] {
  const result = generateBpfTrampoline(wanted);
  assert.equal(result.ok, false);
  return result.ok ? [] : [result.fault.errno, result.fault.rule];
}

function instructions(bytes: Uint8Array, place: number): readonly Insn[] {
  const list: Insn[] = [];
  for (let i = 0; i < bytes.length; ) {
    const insn = decodeInsn(bytes, place + i, i);
    assert.ok(insn !== undefined, `no instruction at ${i}`);
    list.push(insn);
    i += insn.length;
  }
  return list;
}

const callTargets = (image: GeneratedTrampoline): readonly (number | undefined)[] =>
  instructions(image.bytes, at.IMAGE)
    .filter((insn) => insn.flow === 'call')
    .map((insn) => insn.target);

/** Branch displacements and the two pointers are masked. */
const masked = (bytes: Uint8Array): string =>
  toHex(bytes)
    .replaceAll(/e8[0-9a-f]{8}(?=4889c3|48bf|488b5d|488b7d|488b45|4889d|488945)/g, 'e8........')
    .replaceAll('48bf00000500' + '00c9ffff', '48bfP')
    .replaceAll('48bf00981009' + '8088ffff', '48bfI');

test('fentry, two arguments: the golden vector of 107 bytes', () => {
  const { bytes, allocatedSize, ipAfterCall } = generated(request([program('fentry')]));
  assert.equal(bytes.length, 107);
  assert.equal(allocatedSize, 107 + 64);
  assert.equal(ipAfterCall, undefined);
  assert.match(
    masked(bytes),
    /^554889e54883ec3048895de0b802000000488945e848897df0488975f831ff48897dd048bfP488d75d0e8\.{8}4889c34885c07409488d7df0e8\.{8}48bfP4889de488d55d0e8\.{8}488b7df0488b75f8488b5de0c9c3$/,
  );
});

test('fexit, two arguments: the golden vector of 159 bytes, marks included', () => {
  const image = generated(request([program('fexit')]));
  assert.equal(image.bytes.length, 159);
  assert.equal(image.ipAfterCall, 0x3d);
  assert.equal(image.ipEpilogue, 0x82);
  assert.deepEqual(callTargets(image), [at.TRAMP_ENTER, at.FUNCTION + 9, at.ENTER, at.PROGRAM, at.EXIT, at.TRAMP_EXIT]);
});

test('the call of the original skips the five patched bytes, and an endbr before them', () => {
  const bare = generated(request([program('fexit')], { function: { entry: at.FUNCTION, startsWithEndbr: false } }));
  assert.equal(callTargets(bare)[1], at.FUNCTION + 5);
});

test('6.1 pushes %rbx: 102 bytes for fentry as recorded, no endbr without IBT, and one with it', () => {
  const cpu = { sls: true, ibt: false };
  const image = generated(request([program('fentry')], { layout: 'linux-6.1', cpu }));
  assert.equal(image.bytes.length, 102);
  assert.equal(toHex(image.bytes.subarray(0, 9)), '554889e54883ec2853');
  assert.equal(toHex(image.bytes.subarray(-4)), '5bc9c3cc');
  assert.equal(image.allocatedSize, 4096);
  const fexit = generated(request([program('fexit')], { layout: 'linux-6.1', cpu }));
  assert.equal(fexit.bytes.length, 160 - 6);
  const ibt = generated(request([program('fentry')], { layout: 'linux-6.1', cpu: { sls: true, ibt: true } }));
  assert.equal(toHex(ibt.bytes.subarray(0, 5)), 'f30f1efa55');
});

test('6.1 fills alignment with nops of at most eight bytes, 6.12 of at most eleven', () => {
  const programs = [program('fmod_ret'), program('fexit')];
  for (const [layout, longest] of [
    ['linux-6.1', 8],
    ['linux-6.12', 11],
  ] as const) {
    for (let args = 0; args <= 6; args += 1) {
      const { bytes } = generated(request(programs, { layout, argSizes: Array.from({ length: args }, () => 8) }));
      const nops = instructions(bytes, at.IMAGE).filter((insn) => insn.opcode === 0x0f && insn.opcode2 === 0x1f);
      assert.ok(
        nops.every((insn) => insn.length <= longest),
        `${layout} ${args}`,
      );
    }
  }
});

test('beside an IPMODIFY owner the original is called through the stack: two bytes longer than a call less one', () => {
  const programs = [program('fexit')];
  const flags = trampolineFlags({ programs, callsGetFuncIp: false, sharesIpmodify: true, tailCallCtx: false });
  assert.equal(flags.origStack, true);
  const image = generated(request(programs, { flags, cpu: { sls: true, ibt: true } }));
  assert.equal(image.bytes.length, 161);
  assert.ok(toHex(image.bytes).includes('488b5d08ffd3'));
  const entryOnly = trampolineFlags({
    programs: [program('fentry')],
    callsGetFuncIp: false,
    sharesIpmodify: true,
    tailCallCtx: false,
  });
  assert.equal(entryOnly.origStack, false);
});

test('tail-call context: %rax is kept behind the frame and loaded again before the original', () => {
  for (const kind of ['fentry', 'fexit'] as const) {
    const programs = [program(kind)];
    const flags = trampolineFlags({ programs, callsGetFuncIp: false, sharesIpmodify: false, tailCallCtx: true });
    const text = toHex(generated(request(programs, { flags })).bytes);
    const stack = kind === 'fentry' ? 0x30 : 0x38;
    assert.ok(text.startsWith(`554889e54883ec${stack.toString(16)}50`));
    const displacement = (-(stack + 8) & 0xff).toString(16);
    assert.equal(text.split(`488b85${displacement}ffffff`).length, 2);
  }
});

test('each flavour of program gets its own enter and exit', () => {
  const wanted = request([
    program('fentry', { sleepable: true }),
    program('fentry', { sleepable: true, recursionChecked: false }),
    program('fentry', { recursionChecked: false }),
  ]);
  assert.deepEqual(trampolineSymbols(wanted), [
    '__bpf_prog_enter_sleepable_recur',
    '__bpf_prog_exit_sleepable_recur',
    '__bpf_prog_enter_sleepable',
    '__bpf_prog_exit_sleepable',
    '__bpf_prog_enter',
    '__bpf_prog_exit',
  ]);
  const symbols = { ...wanted.symbols, __bpf_prog_enter_sleepable: 0x11_0000, __bpf_prog_exit_sleepable: 0x12_0000 };
  const targets = callTargets(generated({ ...wanted, symbols }));
  assert.deepEqual(targets.slice(3, 6), [0x11_0000, at.PROGRAM, 0x12_0000]);
});

test('faults: too many words, a missing symbol, out of reach, longer than a page', () => {
  const programs = [program('fentry')];
  const words = (count: number): readonly number[] => Array.from({ length: count }, () => 8);
  assert.deepEqual(fault(request(programs, { argSizes: words(13) })), ['ENOTSUPP', 'bpf.trampoline.args']);
  assert.equal(generated(request(programs, { argSizes: words(12) })).argWords, 12);
  assert.deepEqual(fault(request(programs, { layout: 'linux-6.1', argSizes: words(7) })), [
    'ENOTSUPP',
    'bpf.trampoline.args',
  ]);
  assert.deepEqual(fault(request(programs, { symbols: {} })), ['ENOENT', 'bpf.trampoline.symbols']);
  assert.deepEqual(fault(request(programs, { at: 0xf000_0000 })), ['EINVAL', 'bpf.trampoline.range']);
  assert.deepEqual(fault(request(Array.from({ length: 70 }, () => program('fexit')))), [
    'EFAULT',
    'bpf.trampoline.size',
  ]);
  assert.ok(generated(request(Array.from({ length: 38 }, () => program('fexit')))).allocatedSize < 4096);
});

const kinds = fc.array(fc.constantFrom('fentry', 'fmod_ret', 'fexit'), { minLength: 1, maxLength: 8 });

test('whatever is asked for: code from end to end, branches to instructions, calls in the order of execution', () => {
  fc.assert(
    fc.property(
      kinds,
      fc.array(fc.integer({ min: 1, max: 16 }), { maxLength: 6 }),
      fc.record({ callsGetFuncIp: fc.boolean(), sharesIpmodify: fc.boolean(), tailCallCtx: fc.boolean() }),
      fc.record({ thunk: fc.boolean(), sls: fc.boolean(), depth: fc.boolean() }),
      (wantedKinds, argSizes, asked, cpu) => {
        const programs = wantedKinds.map((kind, i) => program(kind, { entry: at.PROGRAM + i * 64 }));
        const image = generated(
          request(programs, {
            argSizes,
            flags: trampolineFlags({ programs, ...asked }),
            cpu: {
              sls: cpu.sls,
              ibt: true,
              ...(cpu.thunk ? { returnThunk: 0x50_0000 } : {}),
              ...(cpu.depth ? { callDepth: 0x7f03_5010 } : {}),
            },
          }),
        );
        const insns = instructions(image.bytes, at.IMAGE);
        const starts = new Set(insns.map((insn) => insn.offset));
        for (const insn of insns) if (insn.flow === 'jcc') assert.ok(starts.has(insn.target ?? -1));
        const order = (['fentry', 'fmod_ret', 'fexit'] as const).flatMap((kind) =>
          programs.filter((one) => one.kind === kind).map((one) => one.entry),
        );
        const called = insns.flatMap(({ flow, target = -1 }) =>
          flow === 'call' && target >= at.PROGRAM ? [target] : [],
        );
        assert.deepEqual(called, order);
        for (const insn of insns)
          if (insn.ripRelative !== undefined) assert.equal(insn.ripRelative.target, 0x7f03_5010);
      },
    ),
    replayable(FILE, 200),
  );
});
