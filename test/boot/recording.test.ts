import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bootDiff, formatTable, patchedText, readProfile, readRecording } from '../../scripts/boot-diff.ts';
import { toHex } from '../../src/base/index.ts';
import type { RawKernel } from '../../src/image/raw-kernel.ts';
import { readRawKernel } from '../../src/image/read-raw-kernel.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';

const conformance = (name: string): string => fileURLToPath(new URL(`../conformance/${name}`, import.meta.url));
const MAX = readProfile(conformance('boot-bytes.json'), 'max');

async function load(path: string): Promise<RawKernel> {
  const kernel = await readRawKernel(readFileSync(path), path);
  assert.ok(kernel.ok, kernel.ok ? '' : kernel.fault.detail);
  return kernel.value;
}

const recorded612 = realKernel(RECORDED_6_12);
const recorded61 = realKernel(RECORDED_6_1);

test('the text of 6.12 comes out as the recorded kernel had it', { skip: recorded612.skip }, async (t) => {
  const diff = bootDiff(
    await load(recorded612.path),
    MAX,
    readRecording(conformance('boot-running-text-max.jsonl.br')),
  );
  t.diagnostic(`\n${formatTable(diff)}\npatched in ${diff.patchMs.toFixed(0)} ms`);
  for (const category of ['ftrace', 'return', 'ENDBR', 'alternative', 'static call', 'jump label', 'other']) {
    const row = diff.rows.get(category);
    assert.ok(row !== undefined, `nothing changed in ${category}`);
    assert.deepEqual(
      { ...row, changed: 0 },
      { changed: 0, equal: row.changed, missing: 0, wrong: 0, extra: 0 },
      category,
    );
  }
  assert.equal(diff.total.changed, 567_257);
  assert.equal(diff.total.extra, 0, 'bytes that boot did not change');
  assert.equal(diff.total.wrong, 0);
  // What is left depends on the size of memory: the dentry hash table's address and its shift.
  assert.ok(diff.total.missing <= 45, `${diff.total.missing} bytes missing`);
  assert.ok(diff.differences.every(({ category }) => category === 'runtime constant'));
  assert.equal(diff.result.unknowns.filter(({ category }) => category === 'runtime constant').length, 2);
});

test('the functions of boot-bytes.json have their recorded bytes', { skip: recorded612.skip }, async () => {
  const kernel = await load(recorded612.path);
  const { text } = patchedText(kernel, MAX);
  const json = JSON.parse(readFileSync(conformance('boot-bytes.json'), 'utf8')) as {
    variants: { max: { functions: { function: string; addr: string; running48: string }[] } };
  };
  const { functions } = json.variants.max;
  assert.ok(functions.length >= 70);
  let compared = 0;
  for (const { function: name, addr, running48 } of functions) {
    const at = Number(BigInt(addr) - kernel.base);
    if (at < 0 || at + running48.length / 2 > text.length) continue;
    assert.equal(toHex(text.subarray(at, at + running48.length / 2)), running48, name);
    compared += 1;
  }
  assert.ok(compared >= 70, `${compared} functions lie in .text`);
});

interface Entry {
  readonly target: string;
  readonly addr: string;
  readonly bytes: string;
}

const ENTRIES = JSON.parse(readFileSync(conformance('boot-entries.json'), 'utf8')) as Record<
  '6.12' | '6.1',
  readonly Entry[]
>;
/** Init text is gone when a scenario looks at it. */
const FREED = new Set(['start_kernel']);

for (const [version, recorded] of [
  ['6.12', recorded612],
  ['6.1', recorded61],
] as const) {
  test(`function entries of ${version} are what the scenarios found`, { skip: recorded.skip }, async () => {
    const kernel = await load(recorded.path);
    const { text } = patchedText(kernel, MAX);
    let compared = 0;
    for (const { target, addr, bytes } of ENTRIES[version]) {
      const at = Number(BigInt(addr) - kernel.base);
      if (FREED.has(target) || at < 0 || at + bytes.length / 2 > text.length) continue;
      assert.equal(toHex(text.subarray(at, at + bytes.length / 2)), bytes, `${target} at ${addr}`);
      compared += 1;
    }
    assert.ok(compared >= (version === '6.12' ? 70 : 58), `${compared} entries lie in .text`);
  });
}

test('patching twice from the file gives the same text and leaves the file alone', {
  skip: recorded612.skip,
}, async () => {
  const kernel = await load(recorded612.path);
  const first = patchedText(kernel, MAX);
  const second = patchedText(kernel, MAX);
  assert.ok(Buffer.from(first.text).equals(Buffer.from(second.text)), 'not deterministic');
  assert.ok(kernel.section('.text')?.bytes !== first.text);
});
