import assert from 'node:assert/strict';
import test from 'node:test';
import { kernelAddress } from '../../src/base/index.ts';
import type { RawSymbols } from '../../src/image/raw-symbols.ts';
import { hashNames } from '../../src/image/symbol-index.ts';
import { symbolColumns } from '../../src/image/symbols/symbol-columns.ts';
import { symbolTable } from '../../src/image/symbols/symbol-table.ts';

const BASE = kernelAddress(0xffffffff81000000n);

test('a table in which every symbol has the same name and place stays quick', () => {
  const count = 300_000;
  const same: RawSymbols = {
    count,
    addresses: new BigUint64Array(count).fill(BASE),
    names: new Uint8Array(count).fill(0x61),
    nameStart: Uint32Array.from({ length: count + 1 }, (_, i) => i),
    types: new Uint8Array(count).fill(0x54),
  };
  const start = performance.now();
  const many = symbolTable(
    symbolColumns(same, hashNames(same), BASE, () => true),
    BASE,
    0x2000,
  );
  assert.equal(many.byName('a').length, count);
  assert.equal([...many.matching('a')].length, count);
  assert.equal(many.containing(5)?.size, 0x2000);
  assert.ok(performance.now() - start < 10_000);
});
