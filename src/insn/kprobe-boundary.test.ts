import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BoundaryWalk, canProbe, canProbeInsn, decodeInsn, walkBoundaries } from './index.ts';

const START = 0x1000;
/** endbr64; nop5 (the ftrace site); push; mov; ud2; int3; bad VEX. */
const FUNCTION = Uint8Array.from(Buffer.from('f30f1efa0f1f4400005548 89e50f0bcc c4e878'.replaceAll(' ', ''), 'hex'));

const walk = (offset: number, more: Partial<BoundaryWalk> = {}): BoundaryWalk => ({
  readInsn: (at) => decodeInsn(FUNCTION, at, at - START),
  start: START,
  target: START + offset,
  ...more,
});

function refusal(offset: number, more: Partial<BoundaryWalk> = {}): { errno: string; rule: string; detail: string } {
  const result = canProbe(walk(offset, more));
  assert.equal(result.ok, false, `+${offset}`);
  return result.ok ? { errno: '', rule: '', detail: '' } : result.fault;
}

test('instruction starts can be probed', () => {
  for (const offset of [0, 4, 9, 10]) {
    const result = canProbe(walk(offset));
    assert.ok(result.ok, `+${offset}`);
    assert.equal(result.value.offset, START + offset);
  }
});

test('an offset inside an instruction is EILSEQ and the detail names its neighbours', () => {
  // As recorded: +1 to +3 (inside endbr64) and +5 to +8 (inside the ftrace nop).
  for (const offset of [1, 2, 3, 5, 6, 7, 8, 11])
    assert.deepEqual(pick(refusal(offset)), ['EILSEQ', 'kprobe.boundary']);
  assert.equal(refusal(6).detail, '+0x6 is inside the instruction at +0x4; the next begins at +0x9');
});

test('INT3 and UD are EILSEQ in 6.12; 6.1 lets can_probe pass', () => {
  assert.deepEqual(pick(refusal(13)), ['EILSEQ', 'kprobe.exception-insn']);
  assert.deepEqual(pick(refusal(15)), ['EILSEQ', 'kprobe.exception-insn']);
  assert.equal(canProbe(walk(13), '6.1').ok, true);
  for (const text of ['cc', 'cd80', 'ce', 'f1', '0f0b', '0fb9c0', '0fff']) {
    const insn = decodeInsn(Uint8Array.from(Buffer.from(text, 'hex')), 0);
    assert.ok(insn !== undefined);
    assert.equal(canProbeInsn(insn)?.errno, 'EILSEQ', text);
    assert.equal(canProbeInsn(insn, '6.1'), undefined, text);
  }
});

test('bytes that do not decode are EILSEQ, at the target and before it', () => {
  assert.deepEqual(pick(refusal(16)), ['EILSEQ', 'kprobe.undecodable']);
  assert.deepEqual(pick(refusal(19)), ['EILSEQ', 'kprobe.undecodable']);
});

test("an active kgdb breakpoint on the way hides an instruction; another's int3 does not", () => {
  const bytes = Uint8Array.of(0x55, 0xcc, 0x90);
  const readInsn: BoundaryWalk['readInsn'] = (at) => decodeInsn(bytes, at, at - START);
  assert.deepEqual(pick(refusal(2, { readInsn, isKgdbBreakpoint: (at) => at === START + 1 })), [
    'EILSEQ',
    'kprobe.kgdb',
  ]);
  assert.equal(walkBoundaries(walk(2, { readInsn })).ok, true);
});

const pick = ({ errno, rule }: { errno: string; rule: string }): readonly string[] => [errno, rule];
