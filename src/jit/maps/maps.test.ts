import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  checkMapSpec,
  initMap,
  jhash,
  type KeyedMap,
  MAP_FLAGS,
  type MapArea,
  type MapSpec,
  type MapType,
  mapShape,
  PagedArea,
  shownValue,
} from './index.ts';

const spec = (type: MapType, more: Partial<MapSpec> = {}): MapSpec => ({
  name: 'm',
  type,
  keySize: 4,
  valueSize: 8,
  maxEntries: 4,
  flags: 0,
  ...more,
});

function keyed(type: MapType, more: Partial<MapSpec> = {}): { readonly map: KeyedMap; readonly area: MapArea } {
  const shape = mapShape(spec(type, more));
  assert.ok(shape.kind === 'keyed');
  return { map: shape.map, area: new PagedArea() };
}

const key = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
const value = (byte: number) => ({ from: 'program', cpu: 0, bytes: new Uint8Array(8).fill(byte) }) as const;
const program = { cpu: 0, isProgram: true } as const;

describe('values with a lock', () => {
  const full = (byte: number) => ({ from: 'syscall', bytes: [new Uint8Array(8).fill(byte)] }) as const;
  const LOCKED = 4n;
  for (const type of ['array', 'hash'] as const)
    it(`of type ${type}: no update changes the lock, and BPF_F_LOCK changes the value where it is`, () => {
      const { map, area } = keyed(type, { spinLock: 4 });
      const at = (): number => map.lookup(area, key(1), program) ?? assert.fail();
      assert.equal(map.update(area, key(1), full(7), 0n), undefined);
      assert.deepEqual([...area.read(at(), 8)], [7, 7, 7, 7, 0, 0, 0, 0]);
      const before = at();
      area.setU32(before + 4, 1);
      assert.equal(map.update(area, key(1), full(9), LOCKED), undefined);
      assert.equal(at(), before);
      assert.deepEqual([...area.read(before, 8)], [9, 9, 9, 9, 1, 0, 0, 0]);
      assert.deepEqual([...shownValue(area.read(before, 8), { spinLock: 4 })], [9, 9, 9, 9, 0, 0, 0, 0]);
      const there = map.update(area, key(1), full(1), LOCKED | 1n);
      assert.equal(there, 'EEXIST');
      assert.equal(map.update(area, key(3), full(1), LOCKED | 2n), type === 'hash' ? 'ENOENT' : undefined);
      assert.equal(map.update(area, key(1), full(1), 8n), 'EINVAL');
    });

  it('are those of hashes and arrays that programs read and write; others do not take BPF_F_LOCK', () => {
    const refused = (type: MapType, more: Partial<MapSpec>): string | undefined => {
      const checked = checkMapSpec(spec(type, more));
      return checked.ok ? undefined : checked.fault.errno;
    };
    assert.equal(refused('hash', { spinLock: 4 }), undefined);
    assert.equal(refused('array', { spinLock: 0, flags: MAP_FLAGS.BPF_F_RDONLY_PROG }), 'EACCES');
    assert.equal(refused('lru_hash', { spinLock: 4 }), 'EOPNOTSUPP');
    assert.equal(refused('percpu_array', { spinLock: 4 }), 'EOPNOTSUPP');
    assert.equal(refused('hash', { spinLock: 2 }), 'EINVAL');
    assert.equal(refused('hash', { spinLock: 8 }), 'EINVAL');
    for (const type of ['array', 'hash', 'lru_hash', 'percpu_hash'] as const) {
      const { map, area } = keyed(type);
      assert.equal(map.update(area, key(1), full(7), LOCKED), 'EINVAL', type);
    }
  });

  it('begin unlocked, whatever contents they begin with', () => {
    const area = new PagedArea();
    const initial = new Uint8Array(8).fill(5);
    const one = spec('array', { maxEntries: 1, spinLock: 0, initial });
    initMap(one, area, 1);
    assert.deepEqual([...area.read(4096, 8)], [0, 0, 0, 0, 5, 5, 5, 5]);
  });
});

describe('what a map may be', () => {
  const refused = (type: MapType, more: Partial<MapSpec>): string | undefined => {
    const checked = checkMapSpec(spec(type, more));
    return checked.ok ? undefined : checked.fault.errno;
  };
  it('follows the type', () => {
    assert.equal(refused('array', {}), undefined);
    assert.equal(refused('array', { keySize: 8 }), 'EINVAL');
    assert.equal(refused('array', { maxEntries: 0 }), 'EINVAL');
    assert.equal(refused('hash', { valueSize: 0 }), 'EINVAL');
    assert.equal(refused('hash', { valueSize: 4 << 20 }), 'E2BIG');
    assert.equal(refused('percpu_array', { valueSize: (32 << 10) + 1 }), 'E2BIG');
    assert.equal(refused('percpu_array', { valueSize: 32 << 10 }), undefined);
    assert.equal(refused('lru_hash', { flags: MAP_FLAGS.BPF_F_NO_PREALLOC }), 'ENOTSUPP');
    assert.equal(refused('hash', { flags: MAP_FLAGS.BPF_F_NO_COMMON_LRU }), 'EINVAL');
    assert.equal(refused('array', { flags: MAP_FLAGS.BPF_F_RDONLY_PROG | MAP_FLAGS.BPF_F_WRONLY_PROG }), 'EINVAL');
    assert.equal(refused('prog_array', { valueSize: 8 }), 'EINVAL');
    assert.equal(refused('stack_trace', { valueSize: 128 * 8 }), 'EINVAL');
    const ring = { keySize: 0, valueSize: 0 };
    assert.equal(refused('ringbuf', { ...ring, maxEntries: 4096 }), undefined);
    assert.equal(refused('ringbuf', { ...ring, maxEntries: 4095 }), 'EINVAL');
    assert.equal(refused('ringbuf', { ...ring, maxEntries: 3 * 4096 }), 'EINVAL');
    assert.equal(refused('ringbuf', { maxEntries: 4096 }), 'EINVAL');
  });
});

describe('the hash of keys', () => {
  it('is lookup3', () => {
    const text = new TextEncoder().encode('Four score and seven years ago');
    assert.equal(jhash(new Uint8Array()), 0xdead_beef);
    assert.equal(jhash(text), 0x1777_0551);
    assert.equal(jhash(text, 1), 0xcd62_8161);
  });
});

describe('maps with keys', () => {
  it('an array has all its elements from the beginning', () => {
    const { map, area } = keyed('array');
    assert.equal(map.update(area, key(1), value(7), 0n), undefined);
    assert.equal(map.update(area, key(1), value(7), 1n), 'EEXIST');
    assert.equal(map.update(area, key(1), value(7), 3n), 'EINVAL');
    assert.equal(map.update(area, key(4), value(7), 0n), 'E2BIG');
    assert.equal(map.delete(area, key(1)), 'EINVAL');
    assert.equal(map.lookup(area, key(4), program), undefined);
    assert.equal(area.u64(map.lookup(area, key(1), program) ?? -1), 0x0707070707070707n);
  });

  it('a hash table is full, has and has not', () => {
    const { map, area } = keyed('hash');
    assert.equal(map.update(area, key(0), value(1), 2n), 'ENOENT');
    for (let i = 0; i < 4; i++) assert.equal(map.update(area, key(i), value(i), 1n), undefined);
    assert.equal(map.update(area, key(0), value(1), 1n), 'EEXIST');
    assert.equal(map.update(area, key(9), value(1), 0n), 'E2BIG');
    for (let i = 0; i < 20; i++) assert.equal(map.update(area, key(3), value(i), 2n), undefined);
    assert.equal(map.delete(area, key(2)), undefined);
    assert.equal(map.delete(area, key(2)), 'ENOENT');
    assert.equal(map.update(area, key(9), value(1), 0n), undefined);
    assert.equal(map.update(area, key(2), value(1), 0n), 'E2BIG');
  });

  it('an update leaves the value that a program holds the address of as it was', () => {
    const { map, area } = keyed('hash');
    map.update(area, key(1), value(1), 0n);
    const held = map.lookup(area, key(1), program) ?? -1;
    map.update(area, key(1), value(2), 0n);
    assert.equal(area.u64(held), 0x0101010101010101n);
    assert.equal(area.u64(map.lookup(area, key(1), program) ?? -1), 0x0202020202020202n);
  });

  it('an LRU map lets the element go that no program looked at for longest', () => {
    const { map, area } = keyed('lru_hash');
    for (let i = 0; i < 4; i++) map.update(area, key(i), value(i), 0n);
    map.lookup(area, key(0), program);
    map.lookup(area, key(1), { cpu: 0, isProgram: false });
    assert.equal(map.update(area, key(9), value(9), 0n), undefined);
    assert.equal(map.lookup(area, key(1), program), undefined);
    assert.notEqual(map.lookup(area, key(0), program), undefined);
    assert.equal([...map.elements(area)].length, 4);
  });

  it('each CPU has its own value; what a program does not write of a new element is 0', () => {
    for (const type of ['percpu_hash', 'lru_percpu_hash', 'percpu_array'] as const) {
      const { map, area } = keyed(type);
      const all = [1, 2, 3, 4].map((byte) => new Uint8Array(8).fill(byte));
      assert.equal(map.update(area, key(1), { from: 'syscall', bytes: all }, 0n), undefined);
      const on = (cpu: number): bigint => area.u64(map.lookup(area, key(1), { cpu, isProgram: true }) ?? -1);
      assert.equal(on(2), 0x0303030303030303n);
      map.update(area, key(1), { from: 'program', cpu: 2, bytes: new Uint8Array(8) }, 0n);
      assert.deepEqual([on(1), on(2), on(3)], [0x0202020202020202n, 0n, 0x0404040404040404n]);
      if (type === 'percpu_array') continue;
      map.delete(area, key(1));
      map.update(area, key(1), { from: 'program', cpu: 3, bytes: new Uint8Array(8).fill(9) }, 0n);
      assert.deepEqual([on(0), on(1), on(2), on(3)], [0n, 0n, 0n, 0x0909090909090909n]);
    }
  });
});

describe('rings', () => {
  const ring = (() => {
    const shape = mapShape(spec('ringbuf', { keySize: 0, valueSize: 0, maxEntries: 4096 }));
    assert.ok(shape.kind === 'ringbuf' && shape.map.rings[0] !== undefined);
    return shape.map.rings[0];
  })();

  it('show a record when it is committed, and never a later one before it', () => {
    const area = new PagedArea();
    const first = ring.reserve(area, 3) ?? -1;
    assert.ok(ring.isReserved(area, first));
    assert.ok(ring.output(area, Uint8Array.of(4, 5)));
    assert.deepEqual(ring.records(area, 0n, 10), { records: [], next: 0n });
    area.write(first, Uint8Array.of(1, 2, 3));
    ring.commit(area, first, false);
    const { records, next } = ring.records(area, 0n, 10);
    assert.deepEqual(
      records.map(({ bytes }) => [...bytes]),
      [
        [1, 2, 3],
        [4, 5],
      ],
    );
    assert.equal(next, 32n);
  });

  it('are full one byte before the consumer, pass over what was discarded, and go round', () => {
    const area = new PagedArea();
    assert.equal(ring.reserve(area, 4096), undefined);
    for (let round = 0; round < 100; round++) {
      const from = ring.consumer(area);
      let written = 0;
      while (ring.output(area, new Uint8Array(100).fill(written))) written += 1;
      assert.equal(written, Math.floor(4095 / 112));
      const { records, next } = ring.records(area, from, 1000);
      assert.deepEqual(
        records.map(({ bytes }) => bytes[99]),
        Array.from({ length: written }, (_, i) => i),
      );
      ring.consume(area, next);
      const at = ring.reserve(area, 8) ?? -1;
      ring.commit(area, at, true);
      assert.deepEqual(ring.records(area, next, 10), { records: [], next: next + 16n });
      ring.consume(area, next + 16n);
    }
  });
});

describe('perf buffers, stacks, programs', () => {
  it('an event is of one CPU, and may be closed', () => {
    const shape = mapShape(spec('perf_event_array', { valueSize: 4 }));
    assert.ok(shape.kind === 'perf');
    const area = new PagedArea();
    const at = (index: number, cpu: number) => shape.map.output(area, { index, cpu }, Uint8Array.of(1));
    assert.equal(at(1, 1), undefined);
    assert.equal(at(1, 0), 'EOPNOTSUPP');
    assert.equal(at(4, 0), 'E2BIG');
    shape.map.setOpen(area, 1, false);
    assert.equal(at(1, 1), 'ENOENT');
    assert.equal(shape.map.setOpen(area, 1, false), 'ENOENT');
    while (at(2, 2) === undefined);
    assert.equal(at(2, 2), 'ENOSPC');
    assert.equal(shape.map.lost(area, 2), 2);
  });

  it('a stack has one id; another in its bucket is refused or takes its place', () => {
    const shape = mapShape(spec('stack_trace', { maxEntries: 1, valueSize: 16 }));
    assert.ok(shape.kind === 'stacks');
    const area = new PagedArea();
    assert.equal(shape.map.put(area, [1n, 2n, 3n], 0n), 0);
    assert.equal(shape.map.put(area, [1n, 2n], 0n), 0);
    assert.equal(shape.map.put(area, [9n], 0n), 'EEXIST');
    assert.equal(shape.map.put(area, [9n], 1n << 10n), 0);
    assert.deepEqual(shape.map.get(area, 0), [9n]);
    assert.deepEqual([...shape.map.ids(area)], [0]);
    assert.equal(shape.map.delete(area, 0), undefined);
    assert.equal(shape.map.delete(area, 0), 'ENOENT');
  });

  it('a prog_array takes programs by index', () => {
    const shape = mapShape(spec('prog_array', { valueSize: 4 }));
    assert.ok(shape.kind === 'programs');
    const area = new PagedArea();
    assert.equal(shape.map.set(area, 4, 1n, 0n), 'E2BIG');
    assert.equal(shape.map.set(area, 3, 1n, 1n), 'EINVAL');
    assert.equal(shape.map.set(area, 3, 0x1234n, 0n), undefined);
    assert.deepEqual([shape.map.get(area, 3), [...shape.map.indexes(area)]], [0x1234n, [3]]);
    assert.equal(shape.map.delete(area, 2), 'ENOENT');
  });
});
