/**
 * Goal: a probe in a body fires once a call in each of its shapes, and the function answers what it answers without it: as an int3 whose instruction is
 * stepped over or emulated, as a jump to a detour, as an int3 over a jump's first byte, boosted; and when it is owed to be undone it does not fire.
 * Method: `lab_opt` of the built-in kernel, every instruction of it, in process. That the detour or the slot ran is read from the trace.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeInsn } from '../../src/insn/index.ts';
import type { CallOutcome } from '../../src/machine/index.ts';
import { callIn, word } from '../support/call-lab.ts';
import { builtinImage } from '../support/images.ts';
import { RegistryLab, withoutSymbols } from '../support/registry-lab.ts';

const F = 'lab_opt';
/** Behind the ftrace site, up to the return. */
const BODY = 9;
const RETURN = 51;
const RESULTS = [
  [1, 16n],
  [-1, 9n],
] as const;

/** Offsets of the instructions of the body. */
function instructions(lab: RegistryLab): readonly number[] {
  const found: number[] = [];
  for (let at = BODY; at <= RETURN; ) {
    found.push(at);
    const insn = decodeInsn(lab.world.pristine.bytes(lab.at(F, at), 15), lab.at(F, at));
    assert.ok(insn);
    at += insn.length;
  }
  return found;
}

const callOf = (lab: RegistryLab, value: number): Promise<CallOutcome> =>
  callIn(lab, F, [word(BigInt.asUintN(32, BigInt(value)))], { traceMax: 300 });

const isIn = (lab: RegistryLab, { trace }: CallOutcome, start: number, length: number): boolean =>
  trace.some((address) => {
    const offset = Number(address - lab.world.image.base);
    return offset >= start && offset < start + length;
  });

/** Calls with both values; what must hold of each. Answers the outcomes. */
async function check(lab: RegistryLab, place: number, attachments: readonly string[]): Promise<readonly CallOutcome[]> {
  const outcomes: CallOutcome[] = [];
  for (const [value, result] of RESULTS) {
    const pristine = await callOf(new RegistryLab(lab.world.image, 'safe'), value);
    const outcome = await callOf(lab, value);
    const where = `${F}+${place}(${value})`;
    assert.deepEqual(outcome.end, { kind: 'returned', value: result }, where);
    const isMet = pristine.trace.includes(lab.world.image.base + BigInt(lab.at(F, place)));
    const fired = outcome.fired.map(({ attachment }) => attachment);
    assert.deepEqual(fired, isMet ? attachments : [], where);
    const { rip: _, ...registers } = outcome.registers;
    const { rip: __, ...expected } = pristine.registers;
    assert.deepEqual(registers, expected, where);
    outcomes.push(outcome);
  }
  return outcomes;
}

const entryOf = (lab: RegistryLab, place: number) => lab.state.kprobeTable.get(lab.at(F, place));

describe('probes in a body', () => {
  it('as int3, at every instruction', async () => {
    for (const place of instructions(new RegistryLab(await builtinImage(), 'safe'))) {
      const lab = new RegistryLab(await builtinImage(), 'safe');
      const { id } = lab.attach('kprobe', `${F}+${place}`, { optimize: false });
      assert.equal(entryOf(lab, place)?.first, 'int3');
      await check(lab, place, [id]);
    }
  });

  it('as jumps: the detour runs, newest first, and the displaced instructions in it', async () => {
    let jumps = 0;
    for (const place of instructions(new RegistryLab(await builtinImage(), 'safe'))) {
      const lab = new RegistryLab(await builtinImage(), 'safe');
      const older = lab.attach('kprobe', `${F}+${place}`);
      const newer = lab.attach('kprobe', `${F}+${place}`);
      lab.optimize();
      const entry = entryOf(lab, place);
      const outcomes = await check(lab, place, [newer.id, older.id]);
      if (entry?.first !== 'jump') continue;
      jumps += 1;
      for (const outcome of outcomes.filter(({ fired }) => fired.length > 0)) {
        assert.ok(isIn(lab, outcome, entry.opt?.detour ?? 0, 1), `${place}: the detour begins`);
        assert.ok(!isIn(lab, outcome, entry.slot ?? 0, 16), `${place}: the slot is not used`);
      }
    }
    assert.ok(jumps >= 5, `${jumps} jumps`);
  });

  it('as an int3 over a jump: switched off and on again before the optimizer came', async () => {
    const lab = new RegistryLab(await builtinImage(), 'safe');
    const { id } = lab.attach('kprobe', `${F}+${BODY}`);
    lab.optimize();
    lab.setEnabled(id, false);
    assert.equal(entryOf(lab, BODY)?.first, 'jump');
    await check(lab, BODY, []);
    lab.setEnabled(id, true);
    const entry = entryOf(lab, BODY);
    assert.deepEqual([entry?.first, entry?.opt?.isOptimized], ['int3', true]);
    const [first] = await check(lab, BODY, [id]);
    assert.ok(first);
    const detour = entry?.opt?.detour ?? 0;
    assert.ok(!isIn(lab, first, detour, 1), 'the handler goes to the displaced instructions');
    assert.ok(isIn(lab, first, detour + 100, 8), 'which run in the detour');
  });

  it('that has left keeps its jump until the optimizer comes, and fires no more', async () => {
    const lab = new RegistryLab(await builtinImage(), 'safe');
    const { id } = lab.attach('kprobe', `${F}+${BODY}`);
    lab.optimize();
    lab.detach(id);
    assert.equal(entryOf(lab, BODY)?.first, 'jump');
    const [first] = await check(lab, BODY, []);
    assert.ok(first && isIn(lab, first, entryOf(lab, BODY)?.opt?.detour ?? 0, 1));
    lab.optimize();
    assert.equal(entryOf(lab, BODY), undefined);
    await check(lab, BODY, []);
  });

  it('boosted, where the kernel is not preemptible: the slot jumps back, and nothing is stepped', async () => {
    const image = withoutSymbols(await builtinImage(), 'preempt_schedule');
    let boosted = 0;
    for (const place of instructions(new RegistryLab(image, 'safe'))) {
      const lab = new RegistryLab(image, 'safe');
      const { id } = lab.attach('kprobe', `${F}+${place}`, { optimize: false });
      await check(lab, place, [id]);
      const slot = entryOf(lab, place)?.slot ?? 0;
      const length = decodeInsn(lab.world.pristine.bytes(lab.at(F, place), 15), 0)?.length ?? 0;
      if (lab.text.u8(slot + length) !== 0xe9) continue;
      boosted += 1;
      const lab2 = new RegistryLab(image, 'safe');
      lab2.attach('kprobe', `${F}+${place}`, { optimize: false, postHandler: true });
      assert.equal(lab2.text.u8((entryOf(lab2, place)?.slot ?? 0) + length), 0xcc, 'a post_handler forbids it');
    }
    assert.ok(boosted >= 12, `${boosted} boosted`);
  });
});
