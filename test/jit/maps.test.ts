/** Maps compared with a plain Map that has the kernel's rules in a few lines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../src/base/index.ts';
import { MappedArea, type MapSpec, type MapType, mapShape, mapSize, PagedArea } from '../../src/jit/index.ts';

interface Step {
  readonly what: 'lookup' | 'update' | 'delete';
  readonly key: Uint8Array;
  readonly byte: number;
  readonly flags: bigint;
}

const steps = (keySize: number) =>
  fc.array(
    fc.record({
      what: fc.constantFrom('lookup' as const, 'update' as const, 'update' as const, 'delete' as const),
      key: fc.integer({ min: 0, max: 11 }).map((n) => new Uint8Array(keySize).fill(0).fill(n, 0, 1)),
      byte: fc.integer({ min: 0, max: 255 }),
      flags: fc.constantFrom(0n, 0n, 0n, 1n, 2n, 4n),
    }),
    { maxLength: 120 },
  );

/** What the kernel answers, without any of its structure. Insertion order of the Map is the order of use. */
class Model {
  readonly elements = new Map<string, number>();
  readonly #spec: MapSpec;
  readonly #isLru: boolean;
  constructor(spec: MapSpec) {
    this.#spec = spec;
    this.#isLru = spec.type === 'lru_hash';
    if (spec.type === 'array')
      for (let i = 0; i < spec.maxEntries; i++) this.elements.set(toHex(Uint8Array.of(i, 0, 0, 0)), 0);
  }

  #use(key: string, byte: number): void {
    this.elements.delete(key);
    this.elements.set(key, byte);
  }

  run({ what, key, byte, flags }: Step): unknown {
    const name = toHex(key);
    const before = this.elements.get(name);
    const { type, maxEntries } = this.#spec;
    if (what === 'lookup') {
      if (before !== undefined && this.#isLru) this.#use(name, before);
      return before;
    }
    if (what === 'delete') {
      if (type === 'array') return 'EINVAL';
      return this.elements.delete(name) ? undefined : 'ENOENT';
    }
    if (type === 'array') {
      if (before === undefined) return 'E2BIG';
      if (flags === 1n) return 'EEXIST';
      // Only now does array_map_update_elem ask for a lock to take (6.12).
      if (flags === 4n) return 'EINVAL';
      this.elements.set(name, byte);
      return undefined;
    }
    if (flags > 2n) return 'EINVAL';
    // An LRU map makes room before it looks.
    if (this.#isLru && this.elements.size === maxEntries) this.elements.delete([...this.elements.keys()][0] as string);
    const isThere = this.elements.has(name);
    if (isThere && flags === 1n) return 'EEXIST';
    if (!isThere && flags === 2n) return 'ENOENT';
    if (!isThere && this.elements.size === maxEntries) return 'E2BIG';
    this.#use(name, byte);
    return undefined;
  }
}

function compare(type: MapType, keySize: number, all: readonly Step[], flip = false): void {
  const spec: MapSpec = { name: 'm', type, keySize, valueSize: 5, maxEntries: 7, flags: 0 };
  const shape = mapShape(spec);
  assert.ok(shape.kind === 'keyed');
  const { map } = shape;
  const model = new Model(spec);
  const bytes = new Uint8Array(mapSize(spec));
  const mapped = { bytes, view: new DataView(bytes.buffer), dirty: new Uint8Array(bytes.length / 4096) };
  const areas = [new PagedArea(), new MappedArea(mapped)];
  for (const step of all) {
    const expected = model.run(step);
    for (const area of areas) {
      const value = {
        from: 'program',
        cpu: 0,
        bytes: new Uint8Array(5).fill(flip ? step.byte ^ 1 : step.byte),
      } as const;
      const found = step.what === 'lookup' ? map.lookup(area, step.key, { cpu: 0, isProgram: true }) : undefined;
      const answer =
        step.what === 'update'
          ? map.update(area, step.key, value, step.flags)
          : step.what === 'delete'
            ? map.delete(area, step.key)
            : found === undefined
              ? undefined
              : area.read(found, 1)[0];
      assert.equal(answer, expected, `${step.what} ${toHex(step.key)}`);
    }
  }
  for (const area of areas) {
    const elements = [...map.elements(area)].map(({ key, at }) => [toHex(key), area.read(at + 4, 1)[0]]);
    assert.deepEqual(new Map(elements as [string, number][]), model.elements);
    assert.equal(elements.length, model.elements.size);
  }
  for (const [page, written] of (areas[0] as PagedArea).written)
    assert.deepEqual(bytes.subarray(page * 4096, page * 4096 + 4096), written);
}

for (const [type, keySize] of [
  ['array', 4],
  ['hash', 4],
  ['hash', 13],
  ['lru_hash', 6],
] as const)
  test(`a map of type ${type} with keys of ${keySize} bytes is a Map with the kernel's rules`, () => {
    fc.assert(
      fc.property(steps(keySize), (all) => compare(type, keySize, all)),
      { numRuns: 150 },
    );
  });

test('canary: a map that keeps another value is found', () => {
  assert.throws(() =>
    fc.assert(
      fc.property(steps(4), (all) => compare('hash', 4, all, true)),
      { numRuns: 150, verbose: 0 },
    ),
  );
});
