import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { builtinImage } from '../../test/support/images.ts';
import { locate, parsePlace } from './place.ts';
import { describePlace, makeWorld } from './world.ts';

describe('a place', () => {
  it('is a symbol, maybe with a distance in either base, or an address', () => {
    assert.deepEqual(parsePlace('tcp_set_state'), { kind: 'symbol', name: 'tcp_set_state', delta: 0 });
    assert.deepEqual(parsePlace('foo.isra.0+0x1F'), { kind: 'symbol', name: 'foo.isra.0', delta: 31 });
    assert.deepEqual(parsePlace('foo+16'), { kind: 'symbol', name: 'foo', delta: 16 });
    assert.deepEqual(parsePlace('__foo$1-0x8'), { kind: 'symbol', name: '__foo$1', delta: -8 });
    assert.deepEqual(parsePlace('0xFFFFFFFF81000000'), { kind: 'address', address: 0xffff_ffff_8100_0000n });
  });

  for (const text of [
    '',
    ' foo',
    'foo ',
    'foo+',
    'foo + 8',
    'foo+0x',
    'foo+-8',
    'foo+0x123456789',
    '1foo',
    '+8',
    'foo+8+8',
    '0x',
    '0x12345678901234567',
    'foo\n',
    'foo;bar',
    'fóo',
  ])
    it(`is not ${JSON.stringify(text)}`, () => assert.equal(parsePlace(text), undefined));

  it('is described in words that mean the same place', async () => {
    const world = makeWorld(await builtinImage(), { strictness: 'safe' });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x3fff }), (offset) => {
        const text = describePlace(world, offset);
        // Of two symbols with one name only the first can be named.
        if (world.image.symbols.byName(text.split('+')[0] ?? '').length > 1) return;
        const place = parsePlace(text);
        assert.ok(place !== undefined, text);
        assert.equal(locate(world, place), offset, text);
      }),
    );
  });

  it('is nowhere outside of the kernel’s 4 GiB and below its first byte', async () => {
    const world = makeWorld(await builtinImage(), { strictness: 'safe' });
    const where = (text: string): number | undefined => locate(world, parsePlace(text) ?? assert.fail(text));
    assert.equal(where('no_such_function'), undefined);
    assert.equal(where('0x0'), undefined);
    assert.equal(where('0xffffffff80ffffff'), undefined);
    assert.equal(where('0xffffffff81000000'), 0);
    assert.equal(where('startup_64-1'), undefined);
    assert.equal(where('tcp_set_state-0x10'), (world.image.symbols.offsetOf('tcp_set_state') as number) - 16);
  });
});
