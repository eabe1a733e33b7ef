/**
 * Recorded scenarios that the other files leave out: those on functions of the lab module, rebuilt on a module of this project's own (fixtures/modules),
 * and those with commands besides attach and detach. Goal: the same errno at every step, the same line of enabled_functions, the same lines of
 * kprobes/list, and the same bytes at the entry. Method: the registry alone, `linux` strictness. Left out are addresses of generated code and of
 * the lab module itself, the names of its handlers, and whether the optimizer had run.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { labModule } from '../support/modules.ts';
import { RegistryLab } from '../support/registry-lab.ts';
import { MoreReplay } from './more-replay.ts';
import { readMore, reasonOf } from './more-scenarios.ts';

for (const [file, kernel, version] of [
  ['more-6.12.json.br', RECORDED_6_12, '6.12'],
  ['more-6.1.json.br', RECORDED_6_1, '6.1'],
] as const) {
  const { path, skip } = realKernel(kernel);
  const scenarios = readMore(file);
  const replayed = scenarios.filter((scenario) => reasonOf(version, scenario) === undefined);

  describe(`${replayed.length} of ${scenarios.length} more scenarios recorded on ${kernel}`, { skip }, () => {
    it('are reproduced', async () => {
      const lab = new RegistryLab(await kernelImage(path), 'linux');
      assert.equal(lab.loadModule(labModule(version)).outcome.kind, 'granted');
      const fresh = lab.state;
      const wrong: string[] = [];
      for (const scenario of replayed) {
        lab.restart(fresh);
        const difference = new MoreReplay(lab, scenario).run();
        if (difference !== undefined) wrong.push(`${scenario.id}\n  ${difference}`);
      }
      assert.equal(wrong.length, 0, `${wrong.length} of ${replayed.length} differ:\n${wrong.join('\n')}`);
    });

    it('and the rest has a reason', () => {
      for (const scenario of scenarios)
        if (!replayed.includes(scenario)) assert.match(reasonOf(version, scenario) ?? '', /\w/);
      assert.ok(replayed.length > scenarios.length * 0.75, `${replayed.length} of ${scenarios.length}`);
    });
  });
}
