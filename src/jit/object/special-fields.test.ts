import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BTF_KIND, type BtfTypes } from '../../image/index.ts';
import { specialField, spinLockOf } from './special-fields.ts';

interface Type {
  readonly kind: number;
  readonly name?: string;
  readonly to?: number;
  /** Types of members; of an array, its element's. */
  readonly of?: readonly number[];
}

/** Types by number, as the reader of BTF gives them; names of members are nothing here. */
const typesOf = (list: readonly Type[]): BtfTypes => ({
  kind: (id) => list[id]?.kind ?? 0,
  vlen: (id) => list[id]?.of?.length ?? 0,
  sizeOrType: (id) => list[id]?.to ?? 0,
  flag: () => false,
  name: (id) => list[id]?.name ?? '',
  string: () => '',
  tail: (id, index) => {
    const { kind, of = [] } = list[id] ?? { kind: 0 };
    if (kind === BTF_KIND.ARRAY) return index === 0 ? (of[0] ?? 0) : 4;
    return index % 3 === 1 ? (of[(index - 1) / 3] ?? 0) : 0;
  },
});

const INT = { kind: BTF_KIND.INT, name: 'int' };
const struct = (name: string, ...of: number[]): Type => ({ kind: BTF_KIND.STRUCT, name, of });
const tagged = (name: string): readonly Type[] => [
  { kind: BTF_KIND.PTR, to: 3 },
  { kind: BTF_KIND.TYPE_TAG, name, to: 4 },
  struct('task_struct', 1),
];

it('a value with what the kernel treats apart is told by its name', () => {
  const of = (...types: readonly Type[]): string | undefined => specialField(typesOf([{ kind: 0 }, INT, ...types]), 2);
  assert.equal(of(struct('value', 1, 1)), undefined);
  assert.equal(of(struct('value', 1, 3), struct('bpf_spin_lock', 1)), undefined);
  assert.equal(of({ kind: BTF_KIND.ARRAY, of: [3] }, struct('value', 4), struct('bpf_timer', 1)), 'bpf_timer');
  assert.equal(of({ kind: BTF_KIND.TYPEDEF, name: 'wq', to: 3 }, struct('bpf_wq', 1)), 'bpf_wq');
  assert.equal(of(...tagged('kptr')), 'kptr');
  assert.equal(of(...tagged('percpu_kptr')), 'percpu_kptr');
  assert.equal(of(...tagged('user')), undefined);
});

it('a type that contains itself ends', () => {
  assert.equal(specialField(typesOf([{ kind: 0 }, struct('loop', 1)]), 1), undefined);
});

describe('the lock of a value', () => {
  const LOCK = struct('bpf_spin_lock', 1);
  const of = (...types: readonly Type[]): number | undefined =>
    spinLockOf(typesOf([{ kind: 0 }, INT, LOCK, ...types]), [{ type: 3, offset: 8 }]);
  it('is found in structures in it', () => {
    assert.equal(of(struct('value', 1, 2)), 8);
    assert.equal(of(struct('value', 1, 4), struct('inner', 2)), 8);
    assert.equal(of(struct('value', 1)), undefined);
  });
  it('is none when there are two, or some in an array, or it is behind a typedef or where it is not aligned', () => {
    assert.equal(of(struct('value', 2, 2)), undefined);
    assert.equal(of({ kind: BTF_KIND.ARRAY, of: [2] }), undefined);
    assert.equal(of({ kind: BTF_KIND.TYPEDEF, name: 'lock_t', to: 2 }), undefined);
    assert.equal(spinLockOf(typesOf([{ kind: 0 }, INT, LOCK]), [{ type: 2, offset: 2 }]), undefined);
  });
});
