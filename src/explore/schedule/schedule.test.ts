import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { IPI, IRQ, makeStep, NMI, RUN } from '../search/space.ts';
import { parseSchedule, printSchedule } from './schedule.ts';

const ACTORS = ['A', 'B', '0', '1', '10'];

describe('schedules', () => {
  it('print as they are documented', () => {
    const schedule = [makeStep(0), makeStep(2, RUN, 3), makeStep(3, IPI), makeStep(2, IRQ), makeStep(4, NMI)];
    assert.equal(printSchedule(ACTORS, schedule), 'A-0.3-1i-0q-10n');
  });

  it('read as they were printed', () => {
    const step = fc
      .tuple(fc.nat(ACTORS.length - 1), fc.nat(3), fc.nat(1000))
      .map(([actor, kind, alternative]) => makeStep(actor, kind, alternative));
    fc.assert(
      fc.property(fc.array(step), (schedule) => {
        assert.deepEqual(parseSchedule(ACTORS, printSchedule(ACTORS, schedule)), schedule);
      }),
    );
  });

  it('are refused when a word is none', () => {
    for (const text of ['A-', 'C', '0x', '2', 'A 0', '0.']) assert.equal(parseSchedule(ACTORS, text), undefined, text);
  });
});
