import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InvariantViolation } from '../base/index.ts';
import { jccTaken, type PokeVectorEntry, pokeInt3Handler, UNPUBLISHED } from './poke-vector.ts';

const site = (at: number, len: number, opcode: number, disp: number): PokeVectorEntry => ({ at, len, opcode, disp });

describe('pokeInt3Handler', () => {
  it('plays the new instruction from one past the int3', () => {
    const play = (entry: PokeVectorEntry) => pokeInt3Handler({ refs: 2, entries: [entry] }, entry.at + 1);
    assert.deepEqual(play(site(100, 1, 0xcc, 0)), { kind: 'not-consumed' });
    assert.deepEqual(play(site(100, 5, 0xc3, 0)), { kind: 'ret' });
    assert.deepEqual(play(site(100, 5, 0xe8, 0x20)), { kind: 'call', target: 137, returnTo: 105 });
    assert.deepEqual(play(site(100, 5, 0xe9, -5)), { kind: 'jmp', target: 100 });
    assert.deepEqual(play(site(100, 5, 0xe9, 0)), { kind: 'jmp', target: 105 });
    assert.deepEqual(play(site(100, 2, 0xeb, -2)), { kind: 'jmp', target: 100 });
    assert.deepEqual(play(site(100, 2, 0x74, 6)), { kind: 'jcc', condition: 4, target: 108, next: 102 });
    assert.deepEqual(play(site(100, 6, 0x7f, -6)), { kind: 'jcc', condition: 15, target: 100, next: 106 });
    assert.throws(() => play(site(100, 5, 0x90, 0)), InvariantViolation);
  });

  it('leaves alone what no vector, or no entry, is about', () => {
    assert.deepEqual(pokeInt3Handler(UNPUBLISHED, 101), { kind: 'not-ours' });
    const entries = [site(100, 5, 0xe8, 0)];
    assert.deepEqual(pokeInt3Handler({ refs: 0, entries }, 101), { kind: 'not-ours' });
    for (const ip of [100, 102, 105]) assert.deepEqual(pokeInt3Handler({ refs: 1, entries }, ip), { kind: 'not-ours' });
  });

  it('finds each entry of any vector and nothing beside it', () => {
    for (let count = 1; count <= 256; count += count < 9 ? 1 : 41) {
      const entries = Array.from({ length: count }, (_, i) => site(10 * i + 4, 5, 0xe9, i));
      for (let at = 0; at < 10 * count + 10; at++) {
        const answer = pokeInt3Handler({ refs: 1, entries }, at + 1);
        const i = (at - 4) / 10;
        const expected =
          Number.isInteger(i) && i >= 0 && i < count ? { kind: 'jmp', target: at + 5 + i } : { kind: 'not-ours' };
        assert.deepEqual(answer, expected);
      }
    }
  });
});

describe('jccTaken', () => {
  const FLAGS = { O: 1 << 11, C: 1, Z: 1 << 6, S: 1 << 7, P: 1 << 2 } as const;
  /** SDM vol. 2, Jcc: the condition of each opcode's low nibble. */
  const CONDITIONS: readonly ((f: Record<keyof typeof FLAGS, boolean>) => boolean)[] = [
    (f) => f.O,
    (f) => !f.O,
    (f) => f.C,
    (f) => !f.C,
    (f) => f.Z,
    (f) => !f.Z,
    (f) => f.C || f.Z,
    (f) => !f.C && !f.Z,
    (f) => f.S,
    (f) => !f.S,
    (f) => f.P,
    (f) => !f.P,
    (f) => f.S !== f.O,
    (f) => f.S === f.O,
    (f) => f.Z || f.S !== f.O,
    (f) => !f.Z && f.S === f.O,
  ];

  it('equals the manual for every condition and every set of flags', () => {
    for (const [condition, holds] of CONDITIONS.entries()) {
      for (let set = 0; set < 32; set++) {
        const f = { O: (set & 1) > 0, C: (set & 2) > 0, Z: (set & 4) > 0, S: (set & 8) > 0, P: (set & 16) > 0 };
        const names = ['O', 'C', 'Z', 'S', 'P'] as const;
        const flags = names.reduce((sum, name) => sum | (f[name] ? FLAGS[name] : 0), 0x202);
        assert.equal(jccTaken(condition, flags), holds(f), `condition ${condition} flags ${flags.toString(16)}`);
      }
    }
  });

  it('knows no seventeenth condition', () => {
    assert.throws(() => jccTaken(16, 0), InvariantViolation);
  });
});
