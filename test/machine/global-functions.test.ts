/** Goal: an object's global functions are taken by their types, run as compiled, and another program takes the place of one or traces it. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { type Coordinator, createCoordinator } from '../../src/coordinator/index.ts';
import { objectBytes } from '../support/bpf-objects.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';
import { value } from '../support/results.ts';

const me = caller();
const KEY = '00000000';

describe('global functions of an object', () => {
  let kernel: Coordinator;
  before(async () => {
    const image = await builtinImage();
    kernel = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) });
  });
  after(() => kernel.close());

  const load = (section: string, attachTo?: string) => {
    const bytes = objectBytes('global-functions');
    return kernel.loadObject(me, { bytes, name: 'globals', section, ...(attachTo === undefined ? {} : { attachTo }) });
  };

  async function loaded(section: string, attachTo?: string): Promise<string> {
    const program = value(await load(section, attachTo));
    assert.ok('id' in program);
    return program.id;
  }

  /** `result`, which each program has in a .bss of its own. */
  function resultOf(program: string): bigint {
    for (const id of value(kernel.program(me, program)).maps) {
      const { name } = value(kernel.map(me, id));
      if (name.endsWith('.bss'))
        return Buffer.from(value(kernel.mapEntry(me, id, KEY)).value ?? '', 'hex').readBigUInt64LE(0);
    }
    return assert.fail(`${program} has no .bss`);
  }

  async function call(...args: number[]): Promise<void> {
    const answer = value(await kernel.call(me, { function: 'gcd', args }));
    assert.equal(answer.ended, 'returned', JSON.stringify(answer.fault));
  }

  const attached = async (
    kind: 'kprobe' | 'fentry' | 'fexit' | 'freplace',
    target: string,
    program: string,
  ): Promise<string> => value(await kernel.attach(me, { kind, target, program }, {})).id;

  it('are called, replaced and traced', async () => {
    const adds = await loaded('adds');
    const attachment = await attached('kprobe', 'gcd', adds);
    await call(30, 12);
    // 2 × (30 + 12), the sum of nothing being 0.
    assert.equal(resultOf(adds), 84n);
    const otherwise = await attached('freplace', `prog:${adds}:scaled`, await loaded('scaled_otherwise'));
    await call(30, 12);
    assert.equal(resultOf(adds), 1084n);
    value(await kernel.detach(me, otherwise, {}));
    const sees = await loaded('sees', `prog:${adds}:scaled`);
    const tracing = await attached('fexit', `prog:${adds}:scaled`, sees);
    await call(30, 12);
    assert.equal(resultOf(adds), 84n);
    assert.equal(resultOf(sees), 4220n);
    value(await kernel.detach(me, tracing, {}));
    const fewer = await kernel.attach(
      me,
      { kind: 'freplace', target: `prog:${adds}:scaled`, program: await loaded('takes_less') },
      {},
    );
    assert.match(fewer.ok ? '' : fewer.fault.detail, /takes_less\(\) has 1 args while scaled\(\) has 2 args/);
    value(await kernel.detach(me, attachment, {}));
  });

  it('run without those that nobody can reach', async () => {
    const program = await loaded('leaves_out');
    const attachment = await attached('fentry', 'gcd', program);
    await call(30, 12);
    assert.equal(resultOf(program), 90n);
    value(await kernel.detach(me, attachment, {}));
    value(await load('indexes_checked'));
  });

  it('are refused where arguments or results are not what their types say', async () => {
    for (const [section, message] of [
      ['shortens', /invalid args into func#1 \('sum'\)/],
      ['passes_address', /R1 is not a scalar\n.*invalid args into func#1 \('scaled'\)/s],
      ['indexes', /R\d (?:unbounded memory access|max value is outside|min value is)/],
      ['trusts', /Validating trusting\(\) func#1\.\.\.\n.*R1 invalid mem access 'mem_or_null'/s],
      ['calls_nothing', /Global function nothing\(\) doesn't return scalar. Only those are supported./],
    ] as const) {
      const refused = await load(section);
      assert.ok(!refused.ok, section);
      const { detail, log } = refused.fault as typeof refused.fault & { readonly log?: string };
      assert.match(`${log}${detail}`, message, section);
    }
  });
});
