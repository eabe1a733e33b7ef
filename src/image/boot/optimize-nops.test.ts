import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../base/index.ts';
import { insnLength } from '../../insn/index.ts';
import { optimizeNops, optimizeNops61 } from './optimize-nops.ts';

function optimized(hex: string, optimize: (bytes: Uint8Array) => void): string {
  const bytes = fromHex(hex) as Uint8Array;
  optimize(bytes);
  return toHex(bytes);
}

for (const [name, before, after] of [
  ['a run becomes the longest nop', '9090909090', '0f1f440000'],
  ['a single nop stays', '90', '90'],
  ['what stands before the run stays', '0faee8909090', '0faee80f1f00'],
  ['nopl joins the run', '0f1f0090', '0f1f4000'],
  ['pause does not', 'f3909090', 'f3906690'],
  ['the last single nop stays', 'c390', 'c390'],
  ['eleven are one', '90'.repeat(11), '66662e0f1f840000000000'],
  ['twelve are a jump over int3', '90'.repeat(12), `eb0a${'cc'.repeat(10)}`],
  ['200 are a long jump', '90'.repeat(200), `e9c3000000${'cc'.repeat(195)}`],
  ['two runs', '9090c39090', '6690c36690'],
] as const) {
  test(`6.12: ${name}`, () => assert.equal(optimized(before, optimizeNops), after));
}

for (const [name, before, after] of [
  ['a run becomes the longest nop', '9090909090', '0f1f440000'],
  ['nine are eight and one', '90'.repeat(9), '0f1f84000000000090'],
  ['nopl does not join the run', '0f1f009090', '0f1f006690'],
] as const) {
  test(`6.1: ${name}`, () => assert.equal(optimized(before, optimizeNops61), after));
}

test('whatever the instructions, optimized bytes are still instructions from end to end', () => {
  const pieces = fc.array(fc.constantFrom('90', '9090', '0f1f00', 'c3', '4889c7', 'e811223344', 'f390', '0faee8'), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(pieces, (list) => {
      const bytes = fromHex(list.join('')) as Uint8Array;
      optimizeNops(bytes);
      let at = 0;
      while (at < bytes.length)
        at += bytes[at] === 0xeb ? 2 + (bytes[at + 1] as number) : insnLength(bytes, at) || assert.fail(toHex(bytes));
      assert.equal(at, bytes.length);
    }),
  );
});
