import assert from 'node:assert/strict';
import test from 'node:test';
import { kernelAddress } from '../../base/index.ts';
import type { RawSymbols } from '../raw-symbols.ts';
import { hashNames } from '../symbol-index.ts';
import { symbolColumns } from './symbol-columns.ts';
import { symbolTable } from './symbol-table.ts';

const BASE = kernelAddress(0xffffffff81000000n);
const WRITTEN: readonly (readonly [string, bigint, string])[] = [
  ['cpu_number', 0x100n, 'A'],
  ['_text', BASE, 'T'],
  ['_stext', BASE, 'T'],
  ['__pfx_open', BASE + 0x10n, 'T'],
  ['open', BASE + 0x20n, 'T'],
  ['twin', BASE + 0x40n, 't'],
  ['twin', BASE + 0x80n, 't'],
  ['weak', BASE + 0x90n, 'W'],
  ['data', BASE + 0x1000n, 'D'],
  ['_end', BASE + 0x2000n, 'B'],
];

function rawSymbols(): RawSymbols {
  const names = Buffer.from(WRITTEN.map(([name]) => name).join(''), 'latin1');
  const nameStart = new Uint32Array(WRITTEN.length + 1);
  WRITTEN.forEach(([name], i) => {
    nameStart[i + 1] = (nameStart[i] as number) + name.length;
  });
  return {
    count: WRITTEN.length,
    addresses: BigUint64Array.from(WRITTEN, ([, address]) => address),
    names,
    nameStart,
    types: Uint8Array.from(WRITTEN, ([, , type]) => type.charCodeAt(0)),
  };
}

const raw = rawSymbols();
const table = symbolTable(
  symbolColumns(raw, hashNames(raw), BASE, (offset) => offset < 0x1000),
  BASE,
  0x2000,
);

test('symbols have name, address, offset, size and letter', () => {
  assert.equal(table.count, 10);
  assert.deepEqual(table.at(4), { name: 'open', address: BASE + 0x20n, offset: 0x20, size: 0x20, type: 'T' });
  assert.deepEqual(table.at(0), {
    name: 'cpu_number',
    address: 0x100n,
    offset: undefined,
    size: Number(BASE - 0x100n),
    type: 'A',
  });
  assert.equal(table.at(1).size, 0x10, 'an alias does not end a symbol');
  assert.equal(table.at(9).size, 0);
  assert.throws(() => table.at(10), /symbol 10 of 10/);
});

test('functions are code letters in text, without padding symbols', () => {
  assert.deepEqual(
    [...table.matching('*')].map((s) => s.name),
    ['_text', '_stext', 'open', 'twin', 'twin', 'weak'],
  );
  assert.equal(table.functionCount, 6);
  assert.deepEqual(
    [...table.matching('t?i*')].map((s) => s.offset),
    [0x40, 0x80],
  );
});

test('look-ups by name answer all, or the first', () => {
  assert.deepEqual(
    table.byName('twin').map((s) => s.offset),
    [0x40, 0x80],
  );
  assert.deepEqual(table.byName('nothing'), []);
  assert.equal(table.offsetOf('twin'), 0x40);
  assert.equal(table.offsetOf('cpu_number'), undefined);
  assert.equal(table.offsetOf('nothing'), undefined);
});

test('look-ups by place answer the first of aliases, up to the end', () => {
  assert.equal(table.containing(0)?.name, '_text');
  assert.equal(table.containing(0x2f)?.name, 'open');
  assert.equal(table.containing(0x1fff)?.name, 'data');
  assert.equal(table.containing(0x2000), undefined);
  assert.equal(table.containing(-1), undefined);
});

test('near names are unique and bounded', () => {
  assert.deepEqual(table.near('twim', 5), ['twin']);
  assert.deepEqual(table.near('opne', 0), []);
});
