import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BTF_KIND, type Btf, type BtfTypes } from '../../../image/index.ts';
import type { CoreRelocation } from '../btf-ext.ts';
import { CoreBudget, CoreProblem } from './core-fault.ts';
import { essentialName } from './names.ts';
import { CORE_KINDS, type CoreKind } from './relocation-kind.ts';
import { resolveCore } from './resolve.ts';

interface Made {
  readonly kind: number;
  readonly name?: string;
  readonly value?: number;
  readonly flag?: boolean;
  readonly words?: readonly number[];
  readonly vlen?: number;
}

/** Types written down one by one; ids count from 1, strings are numbered as they come. */
function typesOf(make: (text: (name: string) => number) => readonly Made[]): Btf {
  const strings = [''];
  const list = make((name) => strings.push(name) - 1);
  const at = (id: number): Made | undefined => list[id - 1];
  const types: BtfTypes = {
    kind: (id) => at(id)?.kind ?? 0,
    vlen: (id) => at(id)?.vlen ?? 0,
    sizeOrType: (id) => at(id)?.value ?? 0,
    flag: (id) => at(id)?.flag === true,
    name: (id) => at(id)?.name ?? '',
    string: (offset) => strings[offset] ?? '',
    tail: (id, index) => at(id)?.words?.[index] ?? 0,
  };
  return { types, count: list.length + 1 };
}

const int = (name: string, size: number, encoding = 0): Made => ({
  kind: BTF_KIND.INT,
  name,
  value: size,
  words: [(encoding << 24) | (size * 8)],
});

const record = (
  name: string,
  size: number,
  members: readonly (readonly [string, number, number])[],
  text: Text,
): Made => ({
  kind: BTF_KIND.STRUCT,
  name,
  value: size,
  vlen: members.length,
  words: members.flatMap(([member, type, bits]) => [text(member), type, bits]),
});

type Text = (name: string) => number;

function resolve(local: Btf, target: Btf, kind: CoreKind, type: number, access = '0') {
  const relocation: CoreRelocation = { offset: 0, type, access, kind: CORE_KINDS.indexOf(kind), at: 0 };
  return resolveCore({ local, target, candidates: new Map(), budget: new CoreBudget() }, relocation);
}

describe('CO-RE', () => {
  it('takes flavours off names', () => {
    for (const [name, essential] of [
      ['sock', 'sock'],
      ['sock___old', 'sock'],
      ['sock___a___b', 'sock___a'],
      ['sock____old', 'sock____old'],
      ['___x', '___x'],
      ['a___', 'a___'],
      ['', ''],
    ])
      assert.equal(essentialName(name as string), essential);
  });

  it('answers enumerators of 64 bits, and matches them with those of 32', () => {
    const local = typesOf((text) => [
      { kind: BTF_KIND.ENUM, name: 'wide', value: 4, vlen: 1, words: [text('ALL___mine'), 1] },
    ]);
    const target = typesOf((text) => [
      {
        kind: BTF_KIND.ENUM64,
        name: 'wide',
        value: 8,
        vlen: 2,
        words: [text('NONE'), 0, 0, text('ALL'), 5, 0x80000000],
      },
    ]);
    assert.equal(resolve(local, target, 'enumval_value', 1).to, 0x8000000000000005n);
    assert.equal(resolve(local, target, 'enumval_exists', 1).to, 1n);
  });

  it('sign-extends enumerators of 32 bits', () => {
    const types = typesOf((text) => [
      { kind: BTF_KIND.ENUM, name: 'e', value: 4, flag: true, vlen: 1, words: [text('MINUS'), -1 >>> 0] },
    ]);
    assert.equal(resolve(types, types, 'enumval_value', 1).to, 0xffffffffffffffffn);
  });

  it('says that types match when the kernel’s has all members of the object’s', () => {
    const local = typesOf((text) => [int('int', 4, 1), record('s___x', 4, [['a', 1, 0]], text), int('long', 8, 1)]);
    const both = typesOf((text) => [
      int('int', 4, 1),
      record(
        's',
        8,
        [
          ['b', 1, 0],
          ['a', 1, 32],
        ],
        text,
      ),
    ]);
    const other = typesOf((text) => [int('long', 8, 1), record('s', 8, [['a', 1, 0]], text)]);
    assert.equal(resolve(local, both, 'type_matches', 2).to, 1n);
    assert.equal(resolve(local, other, 'type_matches', 2).to, 0n);
    assert.equal(resolve(local, other, 'type_exists', 2).to, 1n, 'it is there all the same');
  });

  it('is refused when the kernel’s types say different things', () => {
    const local = typesOf((text) => [int('int', 4, 1), record('s', 4, [['a', 1, 0]], text)]);
    const target = typesOf((text) => [
      int('int', 4, 1),
      record('s', 4, [['a', 1, 0]], text),
      record('s___2', 8, [['a', 1, 32]], text),
    ]);
    assert.throws(
      () => resolve(local, target, 'byte_off', 2, '0:0'),
      /types 2 and 3 of the kernel have it at bit 0 and at bit 32/,
    );
  });

  it('ends at its budget', () => {
    const budget = new CoreBudget();
    const spend = (): void => {
      for (;;) budget.spend();
    };
    assert.throws(spend, CoreProblem);
  });

  it('cuts the place of an element to whole bytes, wherever a damaged object says that its array is', () => {
    const made = typesOf((text) => [
      int('char', 1),
      { kind: BTF_KIND.ARRAY, words: [1, 1, 2] },
      record('pair', 4, [['letters', 2, 2]], text),
    ]);
    assert.equal(resolve(made, made, 'byte_off', 3, '0:0:1').to, 1n);
  });

  it('refuses paths that lead out of the object’s own types', () => {
    const types = typesOf((text) => [int('int', 4, 1), record('s', 4, [['a', 1, 0]], text)]);
    for (const access of ['', ':', '0:9', '0:0:0', '0:x', '-1', Array.from({ length: 65 }, () => '0').join(':')])
      assert.throws(() => resolve(types, types, 'byte_off', 2, access), CoreProblem, access);
  });
});
