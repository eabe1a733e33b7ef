import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canBoost, decodeInsn, type KprobeRules } from './index.ts';

function boosts(text: string, rules: KprobeRules = '6.12', hasExceptionEntry = false): boolean {
  const insn = decodeInsn(Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex')), 0x1000);
  assert.ok(insn !== undefined, text);
  return canBoost(insn, hasExceptionEntry, rules);
}

test('ordinary instructions boost; an exception-table entry forbids it', () => {
  for (const text of [
    '90',
    '55',
    '48 89 e5',
    '48 83 ec 30',
    '8b 05 00000000',
    '66 90',
    'f3 90',
    '65 48 8b 04 25 00000000',
  ]) {
    assert.equal(boosts(text), true, text);
    assert.equal(boosts(text, '6.12', true), false, text);
  }
});

test('instructions whose effect depends on their place do not boost', () => {
  for (const text of ['74 00', 'e8 00000000', 'e9 00000000', 'eb 00', 'e2 00', 'e3 00', 'cc', 'cd 80', 'f4'])
    assert.equal(boosts(text), false, text);
});

test('x87, EVEX, far calls and the undefined d6 do not boost', () => {
  for (const text of ['d9 c0', 'df e0', '9a 000000000000', 'd6', 'f1']) assert.equal(boosts(text), false, text);
  // The table asks for the opcode byte, which behind an EVEX prefix is the one of the map.
  assert.equal(boosts('62 f1 7c 48 10 04 24'), true);
});

test('CS and address-size prefixes forbid it for one opcode byte, not for two', () => {
  assert.equal(boosts('2e 89 00'), false);
  assert.equal(boosts('67 89 00'), false);
  assert.equal(boosts('3e 89 00'), true);
  assert.equal(boosts('67 0f b6 00'), true);
});

test('two opcode bytes go by a bitmap, three never', () => {
  for (const text of ['0f b6 c0', '0f 44 c1', '0f af c1', '0f a3 c8', '0f c8', '0f 1f 00', '0f 31'])
    assert.equal(boosts(text), true, text);
  for (const text of [
    '0f 84 00000000',
    '0f 05',
    '0f 0b',
    '0f a2',
    '0f 01 d0',
    '0f ae e8',
    '0f c7 08',
    '0f 30',
    '0f 10 00',
  ])
    assert.equal(boosts(text), false, text);
  assert.equal(boosts('66 0f 38 00 c1'), false);
  assert.equal(boosts('66 0f 3a 0f c1 08'), false);
});

/** Encoding, 6.12, 6.1. */
const GROUPS: readonly (readonly [string, boolean, boolean])[] = [
  ['48 c1 e0 03', true, false],
  ['c0 f0 03', false, false],
  ['d1 f8', true, false],
  ['d3 f0', false, false],
  ['f6 c1 01', true, false],
  ['f6 c9 01', false, false],
  ['48 f7 d8', true, false],
  ['fe c0', true, false],
  ['fe d0', false, false],
  ['ff c0', true, false],
  ['ff c8', true, false],
  ['ff d0', false, false],
  ['ff e0', true, true],
  ['ff 30', false, false],
];

test('groups: 6.12 goes by ModRM, 6.1 knows the indirect jump only', () => {
  for (const [text, in6_12, in6_1] of GROUPS) {
    assert.equal(boosts(text), in6_12, text);
    assert.equal(boosts(text, '6.1'), in6_1, `${text} on 6.1`);
  }
});
