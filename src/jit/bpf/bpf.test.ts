import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../base/index.ts';
import {
  assembleBpf,
  BPF_LD_IMM64,
  type BpfCode,
  bytesOfBpfCode,
  decodeBpf,
  disassembleBpf,
  ISA,
  insnNamed,
  layOutBpf,
  listBpf,
} from './index.ts';

const bytes = (hex: string): Uint8Array => fromHex(hex.replaceAll(' ', '')) ?? new Uint8Array();
const EXIT = '9500000000000000';

function decoded(hex: string, options: Parameters<typeof decodeBpf>[1] = {}): BpfCode {
  const result = decodeBpf(bytes(hex), options);
  if (!result.ok) assert.fail(result.fault.detail);
  return result.value;
}

function refused(hex: string): string {
  const result = decodeBpf(bytes(hex));
  assert.ok(!result.ok);
  return `${result.fault.errno} ${result.fault.rule} ${result.fault.index}`;
}

function notLaidOut(hex: string): string {
  const result = layOutBpf(decoded(hex));
  assert.ok(!result.ok);
  return `${result.fault.rule} ${result.fault.index}`;
}

describe('ISA', () => {
  it('tells any two instructions apart', () => {
    const key = (insn: (typeof ISA)[number]): string =>
      [insn.code, ...[insn.src, insn.off, insn.imm].map((use) => (typeof use === 'number' ? use : '*'))].join(' ');
    assert.equal(new Set(ISA.map(key)).size, ISA.length);
  });

  it('fits into a byte, with room for what is no instruction', () => {
    assert.ok(ISA.length < 254);
  });
});

describe('decodeBpf', () => {
  for (const [what, hex, expected] of [
    ['an unknown opcode', 'ff00000000000000', 'EINVAL bpf.insn.unknown 0'],
    ['a reserved offset', '0700010001000000', 'EINVAL bpf.insn.reserved 0'],
    ['a signed addition', '1f00010000000000', 'EINVAL bpf.insn.reserved 0'],
    ['a swap of 8 bits', 'dc00000008000000', 'EINVAL bpf.insn.reserved 0'],
    ['an atomic operation that does not exist', `db000000${'99000000'}`, 'EINVAL bpf.insn.reserved 0'],
    ['R11', 'b70b000000000000', 'EINVAL bpf.insn.register 0'],
    ['R12 as a source', 'bfc0000000000000', 'EINVAL bpf.insn.register 0'],
    ['a write to R10', 'b70a000000000000', 'EACCES bpf.insn.frame-pointer 0'],
    ['an atomic exchange into R10', 'dba10000e1000000', 'EACCES bpf.insn.frame-pointer 0'],
    ['half an immediate', '1800000000000000', 'EINVAL bpf.insn.wide-immediate 0'],
    [
      'an immediate with its second half wrong',
      `18000000000000000001000000000000${EXIT}`,
      'EINVAL bpf.insn.wide-immediate 1',
    ],
    ['what only a verifier makes', 'c200000000000000', 'EINVAL bpf.insn.unknown 0'],
    ['part of an instruction', '9500', 'EINVAL bpf.program.size undefined'],
    ['nothing', '', 'E2BIG bpf.program.size undefined'],
  ] as const)
    it(`refuses ${what}`, () => assert.equal(refused(hex), expected));

  it('takes what a verifier made when told so', () => {
    assert.doesNotThrow(() => decoded(`bc00000001000000${EXIT}`, { allowsInternal: true }));
    assert.equal(refused(`bc00000001000000${EXIT}`), 'EINVAL bpf.insn.reserved 0');
  });

  it('is undone by bytesOfBpfCode, for any instruction of the table', () => {
    const field = (use: unknown, any: fc.Arbitrary<number>): fc.Arbitrary<number> =>
      typeof use === 'number' ? fc.constant(use) : use === 'unused' ? fc.constant(0) : any;
    const instruction = fc.constantFrom(...ISA.filter((insn) => insn.since !== undefined)).chain((insn) =>
      fc.record({
        insn: fc.constant(insn),
        dst: field(insn.dst, fc.nat(9)),
        src: field(insn.src, fc.nat(9)),
        off: field(insn.off, fc.integer({ min: -32768, max: 32767 })),
        imm: field(insn.imm, fc.integer()),
      }),
    );
    fc.assert(
      fc.property(instruction, ({ insn, dst, src, off, imm }) => {
        const wide = insn.code === BPF_LD_IMM64;
        const data = new DataView(new ArrayBuffer(wide ? 16 : 8));
        data.setUint8(0, insn.code);
        data.setUint8(1, dst | (src << 4));
        data.setInt16(2, off, true);
        data.setInt32(4, imm, true);
        const code = decoded(toHex(new Uint8Array(data.buffer)));
        assert.equal(code.insn[0], insn.index);
        assert.deepEqual(bytesOfBpfCode(code), new Uint8Array(data.buffer));
        assert.equal(disassembleBpf(code).length, 1);
      }),
    );
  });
});

describe('layOutBpf', () => {
  for (const [what, hex, expected] of [
    ['a jump out of the program', `0500020000000000${EXIT}`, 'bpf.insn.jump 0'],
    ['a jump in front of it', `0500feff00000000${EXIT}`, 'bpf.insn.jump 0'],
    ['a jump into an immediate', `050001000000000018000000000000000000000000000000${EXIT}`, 'bpf.insn.jump 0'],
    ['a jump into another function', `8510000001000000${EXIT}0500feff00000000`, 'bpf.insn.jump 2'],
    ['a call of nothing', `8510000005000000${EXIT}`, 'bpf.insn.call-target 0'],
    ['an end without exit', 'b700000000000000', 'bpf.insn.falls-off 0'],
  ] as const)
    it(`refuses ${what}`, () => assert.equal(notLaidOut(hex), expected));

  it('finds functions', () => {
    const result = layOutBpf(decoded(`8510000001000000${EXIT}b700000000000000${EXIT}`));
    assert.deepEqual(result.ok && result.value, [
      { start: 0, end: 2 },
      { start: 2, end: 4 },
    ]);
  });
});

/** One instruction of each form, as the kernel's print_bpf_insn writes it. */
const LISTED: readonly (readonly [string, string])[] = [
  ['0701000000000000', '(07) r1 += 0'],
  ['1c21000000000000', '(1c) w1 -= w2'],
  ['3f21010000000000', '(3f) r1 s/= r2'],
  ['94010100f9ffffff', '(94) w1 s%= -7'],
  ['bf21080000000000', '(bf) r1 = (s8)r2'],
  ['bc21100000000000', '(bc) w1 = (s16)w2'],
  ['8700000000000000', '(87) r0 = -r0'],
  ['dc00000020000000', '(dc) r0 = be32 r0'],
  ['d700000040000000', '(d7) r0 = bswap64 r0'],
  ['61a1fcff00000000', '(61) r1 = *(u32 *)(r10 -4)'],
  ['9121080000000000', '(91) r1 = *(s8 *)(r2 +8)'],
  ['7a0af8ffffffffff', '(7a) *(u64 *)(r10 -8) = -1'],
  ['6b2af8ff00000000', '(6b) *(u16 *)(r10 -8) = r2'],
  ['db2af8ff00000000', '(db) lock *(u64 *)(r10 -8) += r2'],
  ['c32af8ff41000000', '(c3) r2 = atomic_fetch_or((u32 *)(r10 -8), r2)'],
  ['db2af8ffe1000000', '(db) r2 = atomic64_xchg((u64 *)(r10 -8), r2)'],
  ['db2af8fff1000000', '(db) r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r2)'],
  ['0500030000000000', '(05) goto pc+3'],
  ['06000000fdffffff', '(06) gotol pc-3'],
  ['650105000a000000', '(65) if r1 s> 0xa goto pc+5'],
  ['2e21feff00000000', '(2e) if w1 > w2 goto pc-2'],
  ['8500000005000000', '(85) call bpf_ktime_get_ns#5'],
  ['8510000007000000', '(85) call pc+7'],
  ['8d02000000000000', '(8d) callx r2'],
  [EXIT, '(95) exit'],
  ['18010000785634120000000021430000', '(18) r1 = 0x432112345678'],
];

describe('disassembleBpf', () => {
  it('writes as the kernel does', () => {
    const names = { helper: (id: number) => (id === 5 ? 'ktime_get_ns' : undefined) };
    for (const [hex, text] of LISTED) assert.equal(disassembleBpf(decoded(hex), names)[0]?.text, text);
  });

  it('numbers slots as bpftool does', () => {
    assert.equal(listBpf(decoded(`18010000000000000000000000000000${EXIT}`)), '   0: (18) r1 = 0x0\n   2: (95) exit\n');
  });
});

describe('assembleBpf', () => {
  for (const [source, message] of [
    ['frob %r0', 'line 1: unknown instruction frob'],
    ['exit\nmov %r0', 'line 2: mov takes more operands'],
    ['mov %r11, 1', 'line 1: %r11 is no register'],
    ['neg %r0, 1', 'line 1: neg takes no operand 1'],
    ['ja nowhere', 'line 1: no label nowhere'],
    ['a:\na:\nexit', 'line 2: label a is defined twice'],
    ['mov %r0, 0x123456789', 'line 1: 0x123456789 does not fit into 32 bits'],
    ['ldxw %r0, [%r1+40000]', 'line 1: 40000 does not fit into 16 bits'],
  ] as const)
    it(`refuses ${JSON.stringify(source)}`, () => {
      const result = assembleBpf(source);
      assert.equal(result.ok ? '' : result.fault.detail, message);
    });

  it('counts both slots of an immediate in labels', () => {
    const result = assembleBpf('ja end\nlddw %r1, -1\nend: exit');
    assert.equal(result.ok && toHex(result.value.subarray(0, 8)), '0500020000000000');
  });
});

describe('insnNamed', () => {
  it('knows what it does not know', () => {
    assert.throws(() => insnNamed('frob'), RangeError);
    assert.equal(insnNamed('add32', 'reg').code, 0x0c);
  });
});
