import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  type KallsymsAddressing,
  type KallsymsOrder,
  type WrittenSymbol,
  writeKallsyms,
} from '../../../test/image/kallsyms-writer.ts';
import { byteView } from '../byte-view.ts';
import { type RawSymbols, symbolName } from '../raw-symbols.ts';
import { decodeKallsyms } from './decode-kallsyms.ts';
import { findKallsyms } from './find-kallsyms.ts';

const BASE = 0xffffffff81000000n;
const ORDERS: readonly KallsymsOrder[] = ['before', 'before-seqs', 'after'];
const ADDRESSINGS: readonly KallsymsAddressing[] = ['percpu', 'relative', 'absolute'];

const listed = (symbols: RawSymbols): WrittenSymbol[] =>
  Array.from({ length: symbols.count }, (_, i) => ({
    name: symbolName(symbols, i),
    address: symbols.addresses[i] as bigint,
    type: String.fromCharCode(symbols.types[i] as number),
  }));

function decode(bytes: Uint8Array): WrittenSymbol[] | undefined {
  const view = byteView(bytes, 'kallsyms');
  const layout = findKallsyms(view);
  return layout === undefined ? undefined : listed(decodeKallsyms(view, layout));
}

/** Symbols as a kernel has them: unique-ish names, ascending addresses, aliases. */
const symbolsArbitrary = fc
  .array(
    fc.tuple(fc.stringMatching(/^[a-z_][a-zA-Z0-9_.]{0,200}$/), fc.nat(4096), fc.constantFrom('T', 't', 'D', 'r', 'W')),
    { minLength: 8, maxLength: 700 },
  )
  .map((list) => {
    let address = BASE;
    return list.map(([name, gap, type]) => {
      address += BigInt(gap);
      return { name, address, type };
    });
  });

for (const order of ORDERS) {
  for (const addressing of ADDRESSINGS) {
    if (order === 'after' && addressing === 'absolute') continue;
    test(`tables in the order "${order}" with ${addressing} addresses are found and decode to what was written`, () => {
      fc.assert(
        fc.property(symbolsArbitrary, fc.nat(600), fc.nat(600), (symbols, before, after) => {
          const tables = writeKallsyms(symbols, BASE, order, addressing);
          const noise = (length: number): Uint8Array => new Uint8Array(length * 8).map((_, i) => (i * 37) & 255);
          assert.deepEqual(decode(Buffer.concat([noise(before), tables, noise(after)])), symbols);
        }),
        { numRuns: 25 },
      );
    });
  }
}

test('per-CPU symbols keep their small absolute addresses', () => {
  const symbols = [
    { name: 'fixed_percpu_data', address: 0n, type: 'A' },
    { name: 'cpu_tss_rw', address: 0x6000n, type: 'A' },
    { name: '_text', address: BASE, type: 'T' },
    { name: '_end', address: BASE + 0x2c3_0000n, type: 'B' },
  ];
  assert.deepEqual(decode(writeKallsyms(symbols, BASE, 'after', 'percpu')), symbols);
});

test('a section without the tables has none', () => {
  assert.equal(decode(new Uint8Array(100_000)), undefined);
  assert.equal(decode(Uint8Array.from({ length: 100_000 }, (_, i) => (i * 2654435761) >>> 24)), undefined);
  assert.equal(decode(new Uint8Array(0)), undefined);
});

test('a section full of token tables without symbols is refused, not searched for ever', () => {
  const symbols = Array.from({ length: 8 }, (_, i) => ({ name: `fn_${i}`, address: BASE + BigInt(i), type: 'T' }));
  const whole = writeKallsyms(symbols, BASE, 'before', 'percpu');
  const { tokenTable } = findKallsyms(byteView(whole, 'kallsyms')) ?? assert.fail('the whole table is there');
  const trap = Buffer.concat(Array.from({ length: 50 }, () => whole.slice(tokenTable)));
  assert.throws(() => decode(trap), /kallsyms_token_table at offset 0x[0-9a-f]+: too many tables/);
});

test('addresses that do not ascend are malformed', () => {
  const symbols = [
    { name: 'b', address: BASE + 0x100n, type: 'T' },
    { name: 'a', address: BASE, type: 'T' },
  ];
  assert.throws(() => decode(writeKallsyms(symbols, BASE, 'before', 'percpu')), /kallsyms_offsets at offset 0x/);
});
