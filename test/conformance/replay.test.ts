/**
 * Recorded scenarios of two real kernels, replayed in process. Goal: the same errno at every step, the same bytes after it, the same
 * owners firing when the function is called, and the same bytes left when all have gone. Method: `linux` strictness, the recorded kernel's image, the profile of the recording.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Coordinator } from '../../src/coordinator/index.ts';
import { testCoordinator } from '../support/coordinators.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { replayScenario } from './replay-scenario.ts';
import { groupOf, type RecordedScenario, type RecordedStep, readRecording } from './scenarios.ts';

interface Recorded {
  readonly file: string;
  readonly kernel: string;
  /** Scenarios that are not reproduced, and why. One that passes all the same fails the test. */
  readonly known: ReadonlyMap<string, string>;
}

const KNOWN_6_1: ReadonlyMap<string, string> = new Map([
  [
    'kp-offset:cmdline_proc_show+7',
    'its initial bytes were read while an optimized probe of the scenario before still waited to be undone, so they are not pristine',
  ],
]);

const RECORDED: readonly Recorded[] = [
  { file: 'scenarios-6.12.json.br', kernel: RECORDED_6_12, known: new Map() },
  { file: 'scenarios-6.1.json.br', kernel: RECORDED_6_1, known: KNOWN_6_1 },
];

for (const { file, kernel, known } of RECORDED) {
  const { path, skip } = realKernel(kernel);
  const { scenarios } = readRecording(file);
  const groups = [...new Set(scenarios.map(({ id }) => groupOf(id)))];

  describe(`${scenarios.length} scenarios recorded on ${kernel}`, { skip }, () => {
    let jumps = 0;
    let firings = 0;
    let coordinator: Coordinator | undefined;
    after(() => coordinator?.close());
    for (const group of groups) {
      const members = scenarios.filter(({ id }) => groupOf(id) === group);
      it(`${group}: ${members.length}`, async () => {
        coordinator ??= testCoordinator(await kernelImage(path), 'linux');
        const wrong: string[] = [];
        for (const scenario of members) {
          const isKnown = known.has(scenario.id);
          for (const turns of ['the end', 'each step'] as const) {
            if (turns === 'each step' && !scenario.steps.some((step) => step.kind.startsWith('kpm'))) continue;
            const { difference, ...compared } = await replayScenario(coordinator, scenario, turns);
            jumps += compared.jumps;
            firings += compared.fired;
            if (difference !== undefined && !isKnown)
              wrong.push(`${scenario.id}, the optimizer's turn at ${turns}\n  ${difference}`);
            if (difference === undefined && isKnown)
              wrong.push(`${scenario.id}\n  is reproduced now: take it off the list`);
          }
        }
        assert.equal(wrong.length, 0, `${wrong.length} of ${members.length} differ:\n${wrong.join('\n')}`);
      });
    }

    it('compared probes that Linux had made jumps', () => assert.ok(jumps > 10, `${jumps} jumps`));

    it('canary: an owner that does not fire as recorded is found, and so is another result', async () => {
      coordinator ??= testCoordinator(await kernelImage(path), 'linux');
      const scenario = scenarios.find(({ id }) => id.startsWith('bpf_modify_return_test:kp>'));
      assert.ok(scenario);
      const changed = (change: (step: RecordedStep) => Partial<RecordedStep>): RecordedScenario => ({
        ...scenario,
        steps: scenario.steps.map((step, i) => (i === 0 ? { ...step, ...change(step) } : step)),
      });
      const silent = await replayScenario(
        coordinator,
        changed(() => ({ fired: { A: 0 } })),
        'the end',
      );
      assert.match(silent.difference ?? '', /A fired 1 times, in Linux 0/);
      const other = await replayScenario(
        coordinator,
        changed(({ result = 0 }) => ({ result: result + 1 })),
        'the end',
      );
      assert.match(other.difference ?? '', /returned 0x0000000000000004, not 0x0000000000000005/);
      const patched = await replayScenario(
        coordinator,
        changed(({ result = 0 }) => ({ result: result + 1000 })),
        'the end',
      );
      assert.match(patched.difference ?? '', /patched by none, in Linux by lp1/);
    });

    it('compared who fired', () => assert.ok(firings > 1_000, `${firings} firings`));

    it('knows of no scenario that is not recorded', () => {
      const ids = new Set(scenarios.map(({ id }) => id));
      assert.deepEqual(
        [...known.keys()].filter((id) => !ids.has(id)),
        [],
      );
    });
  });
}
