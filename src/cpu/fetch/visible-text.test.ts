import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../base/index.ts';
import { FETCH_MODELS, type FetchModelName, isAtomicStore, type TextStore } from './fetch-model.ts';
import { VisibleText } from './visible-text.ts';

const NOP5 = '0f1f440000';
const CALL = 'e811223344';

const textOf = (model: FetchModelName, at: number, hex: string): VisibleText => {
  const bytes = fromHex(hex) ?? new Uint8Array();
  return new VisibleText(model, (place) => bytes[place - at] ?? 0x90);
};
const store = (at: number, hex: string): TextStore => ({ at, bytes: fromHex(hex) ?? new Uint8Array() });
const fetched = (text: VisibleText, view: number, at: number): readonly string[] => text.fetch(view, at).map(toHex);

describe('VisibleText', () => {
  it('shows a CPU that has not serialised the byte before and after a store, and afterwards only the one after', () => {
    for (const model of ['weak', 'quad', 'line'] as const) {
      const text = textOf(model, 0x100, NOP5);
      const view = text.store(VisibleText.START, store(0x100, 'cc'));
      assert.deepEqual(fetched(text, view, 0x100), ['cc', NOP5], model);
      assert.deepEqual(fetched(text, text.fresh(text.textOf(view)), 0x100), ['cc'], model);
    }
  });

  it('never shows anything old under sc', () => {
    const text = textOf('sc', 0x100, NOP5);
    assert.deepEqual(fetched(text, text.store(VisibleText.START, store(0x100, CALL)), 0x100), [CALL]);
  });

  it('mixes old and new bytes of one store as far as the model goes', () => {
    const seen = (model: FetchModelName, at: number): readonly string[] => {
      const text = textOf(model, at, NOP5);
      return fetched(text, text.store(VisibleText.START, store(at, CALL)), at);
    };
    for (const model of ['weak', 'quad', 'line'] as const) {
      // A copy may arrive in any pieces, so a half is seen even by who fetches the line at one moment.
      assert.ok(seen(model, 0x100).includes('e81f440000'), model);
      assert.equal(seen(model, 0x100)[0], CALL, model);
    }
  });

  it('keeps two moments apart only where the unit ends', () => {
    // The tail, then byte 0, two stores: byte 0 new and some of the tail old needs two moments.
    const mixed = (model: FetchModelName, at: number): boolean => {
      const text = textOf(model, at, `cc${NOP5.slice(2)}`);
      const tail = text.store(VisibleText.START, store(at + 1, CALL.slice(2)));
      const both = text.store(tail, store(at, CALL.slice(0, 2)));
      return fetched(text, both, at).some((insn) => insn.startsWith('e8') && insn !== CALL);
    };
    assert.deepEqual(
      FETCH_MODELS.map((model) => [mixed(model, 0x100), mixed(model, 0x106), mixed(model, 0x13e), mixed(model, 0xffe)]),
      [
        [true, true, true, true],
        [false, true, true, true],
        [false, false, true, true],
        [false, false, false, false],
      ],
    );
  });

  it('gives one number to possibilities that are equal, however they came about', () => {
    const text = textOf('weak', 0x100, NOP5);
    const once = text.store(VisibleText.START, store(0x100, 'cc'));
    const twice = text.store(text.store(once, store(0x100, '0f')), store(0x100, 'cc'));
    assert.equal(once, twice);
    assert.notEqual(once, VisibleText.START);
    assert.equal(text.store(VisibleText.START, store(0x100, '0f')), VisibleText.START);
  });

  it('does not tell bytes behind the instruction apart', () => {
    const text = textOf('weak', 0x100, 'c30f1f440000');
    const view = text.store(VisibleText.START, store(0x101, 'e811'));
    assert.deepEqual(fetched(text, view, 0x100), ['c3']);
  });

  it('lets a weaker model see all that a stronger one sees', () => {
    const writes = fc.array(
      fc.tuple(fc.integer({ min: 0xf8, max: 0x107 }), fc.uint8Array({ minLength: 1, maxLength: 4 })),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(writes, fc.integer({ min: 0xf8, max: 0x103 }), (list, at) => {
        const sets = FETCH_MODELS.map((model) => {
          const text = textOf(model, 0x100, NOP5);
          const view = list.reduce((now, [place, bytes]) => text.store(now, { at: place, bytes }), VisibleText.START);
          return new Set(fetched(text, view, at));
        });
        for (const [i, stronger] of sets.slice(1).entries())
          for (const insn of stronger) assert.ok(sets[i]?.has(insn), `${FETCH_MODELS[i]} misses ${insn}`);
      }),
      { numRuns: 60 },
    );
  });
});

describe('isAtomicStore', () => {
  it('is one byte, or one store within aligned eight', () => {
    assert.ok(isAtomicStore(store(0x107, 'cc')));
    assert.ok(!isAtomicStore(store(0x100, '1122')));
    assert.ok(isAtomicStore({ ...store(0x100, '11223344'), isSingle: true }));
    assert.ok(!isAtomicStore({ ...store(0x106, '11223344'), isSingle: true }));
  });
});
