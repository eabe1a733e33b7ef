import assert from 'node:assert/strict';
import test from 'node:test';
import {
  FUNCTION_COUNT,
  functionOffset,
  type SyntheticOptions,
  syntheticKernel,
} from '../../../test/image/synthetic-kernel.ts';
import { type RawKernelWithSymbols, readElfKernel } from '../read-raw-kernel.ts';
import { readBlacklistEntries, readExceptionTable, readFtraceSites, readSiteSection } from './address-tables.ts';
import { readAlternatives } from './alternatives.ts';
import { readBugTable } from './bug-table.ts';
import { codeRanges } from './code-ranges.ts';
import { readFmodretIds } from './fmodret-ids.ts';
import { jumpLabelSize, readJumpLabels } from './jump-labels.ts';
import { readBlacklistRanges } from './named-ranges.ts';
import { readStaticCalls, readTrampolines } from './static-calls.ts';

function kernelOf(
  options: SyntheticOptions = {},
  change?: (kernel: RawKernelWithSymbols) => void,
): RawKernelWithSymbols {
  const result = readElfKernel(syntheticKernel(options).elf);
  assert.ok(result.ok);
  change?.(result.value);
  return result.value;
}

const bodies = (rest: number): number[] =>
  Array.from({ length: FUNCTION_COUNT }, (_, i) => i)
    .filter((i) => i % 5 === rest)
    .map((i) => functionOffset(i) + 9);

const kernel = kernelOf();
const code = codeRanges(kernel);

test('__mcount_loc and _kprobe_blacklist lose their zero entries', () => {
  assert.deepEqual(
    [...readFtraceSites(kernel, code)],
    Array.from({ length: FUNCTION_COUNT }, (_, i) => functionOffset(i) + 4),
  );
  assert.deepEqual([...readBlacklistEntries(kernel, code)], [functionOffset(1), functionOffset(3)]);
});

test('jump labels come sorted with target, key, branch flag and length', () => {
  const labels = readJumpLabels(kernel, code);
  assert.deepEqual(
    [...labels.code],
    [...bodies(0), ...bodies(1)].sort((a, b) => a - b),
  );
  assert.deepEqual(
    [...labels.target],
    [...labels.code].map((at) => at + 4),
  );
  const key = kernel.symbolAddress('key') as bigint;
  assert.deepEqual(new Set(labels.key), new Set(Array.from({ length: 120 }, (_, i) => key + BigInt(i * 16))));
  assert.equal(labels.isBranch.filter((bit) => bit === 1).length, 60);
  assert.deepEqual(
    [...labels.code].map((at) => jumpLabelSize(code.u8, at)),
    [...labels.code].map((at) => (bodies(0).includes(at) ? 2 : 5)),
  );
});

test('lengths of jump labels are read off the four instructions', () => {
  const sizeOf = (...bytes: number[]): number | undefined => jumpLabelSize((offset) => bytes[offset], 0);
  assert.deepEqual(
    [sizeOf(0xeb, 5), sizeOf(0x66, 0x90), sizeOf(0xe9, 0, 0, 0, 0), sizeOf(0x0f, 0x1f, 0x44, 0, 0)],
    [2, 2, 5, 5],
  );
  assert.deepEqual(
    [sizeOf(0x90), sizeOf(), sizeOf(0x0f, 0x0b), sizeOf(0x66, 0x0f)],
    [undefined, undefined, undefined, undefined],
  );
});

test('static call sites and trampolines', () => {
  const calls = readStaticCalls(kernel, code);
  assert.deepEqual([...calls.site], bodies(2));
  assert.equal(calls.isTail.filter((bit) => bit === 1).length, 30);
  assert.ok(calls.size.every((size) => size === 5));
  const trampolines = readTrampolines(kernel, kernel.symbols, code);
  assert.deepEqual([[...trampolines.starts], [...trampolines.ends]], [[0x140], [0x148]]);
});

for (const bugSize of [8, 12] as const) {
  test(`a bug table of ${bugSize}-byte entries is told by where they point`, () => {
    const other = kernelOf({ bugSize });
    assert.deepEqual([...readBugTable(other, codeRanges(other))], bodies(3));
  });
}

for (const alternativeSize of [12, 14] as const) {
  test(`alternatives of ${alternativeSize}-byte entries are told by where they point`, () => {
    const other = kernelOf({ alternativeSize });
    const { starts, ends } = readAlternatives(other, codeRanges(other));
    assert.deepEqual([...starts], bodies(4));
    assert.deepEqual(
      [...ends],
      bodies(4).map((at) => at + 3),
    );
  });
}

test('sections of place-relative sites; zeros are padding', () => {
  assert.deepEqual([...readSiteSection(kernel, code, '.smp_locks')], bodies(4));
  assert.deepEqual([...readSiteSection(kernel, code, '.ibt_endbr_seal')], [functionOffset(0), functionOffset(5)]);
  assert.equal(readSiteSection(kernel, code, '.return_sites').length, FUNCTION_COUNT);
  assert.equal(readSiteSection(kernel, code, '.retpoline_sites').length, 0);
  assert.deepEqual([...readExceptionTable(kernel, code)], [functionOffset(4) + 9]);
});

test('fmod_ret tables give ids and flags in turn', () => {
  assert.deepEqual([...readFmodretIds(kernel)], [9, 0x20]);
  const endless = kernelOf({}, (each) => each.section('.BTF_ids')?.bytes.fill(0x7f, 0, 4));
  assert.throws(() => readFmodretIds(endless), /^ImageFault: \.BTF_ids at offset 0x2a0000/);
});

test('ranges without kprobes', () => {
  assert.deepEqual(readBlacklistRanges(kernel), [
    { name: '.noinstr.text', start: functionOffset(10) - 16, end: functionOffset(12) - 16 },
  ]);
});

test('entries that point outside code name the table and the place', () => {
  const damage = (symbol: string, distance: number): RawKernelWithSymbols =>
    kernelOf({}, (each) => each.read(each.symbolOffset(symbol) as number, 16)?.fill(0x7f, distance, distance + 4));
  const cases: readonly (readonly [string, number, (k: RawKernelWithSymbols) => unknown, RegExp])[] = [
    [
      '__start_mcount_loc',
      8,
      (k) => readFtraceSites(k, codeRanges(k)),
      /^__mcount_loc at offset 0x600008: entry 1 is 0x/,
    ],
    [
      '__start_kprobe_blacklist',
      8,
      (k) => readBlacklistEntries(k, codeRanges(k)),
      /^_kprobe_blacklist at offset 0x602008: entry 1/,
    ],
    [
      '__start___jump_table',
      0,
      (k) => readJumpLabels(k, codeRanges(k)),
      /^__jump_table at offset 0x201000: entry 0 has its code/,
    ],
    [
      '__start___jump_table',
      4,
      (k) => readJumpLabels(k, codeRanges(k)),
      /^__jump_table at offset 0x201004: entry 0 has its target/,
    ],
    [
      '__start_static_call_sites',
      0,
      (k) => readStaticCalls(k, codeRanges(k)),
      /^\.static_call_sites at offset 0x204000: entry 0/,
    ],
  ];
  for (const [symbol, distance, readTable, message] of cases)
    assert.throws(() => readTable(damage(symbol, distance)), { message });
  const bug = kernelOf({}, (k) => k.section('__bug_table')?.bytes.fill(0x7f, 0, 4));
  assert.throws(
    () => readBugTable(bug, codeRanges(bug)),
    /^ImageFault: __bug_table at offset 0x408000: with no entry size/,
  );
});
