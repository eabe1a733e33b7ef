/**
 * What the recorded kernel listed after each step of the scenarios: how many ops each function's record counts and with which flags, and
 * which probes the kprobe table has. Method: the registry alone, in `linux` strictness.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ftraceLocation } from '../../src/registry/index.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { RegistryLab } from '../support/registry-lab.ts';
import { bodyOffset, type RecordedScenario, readRecording, requestOf } from './scenarios.ts';

/** FTRACE_FL_REGS, FTRACE_FL_IPMODIFY and FTRACE_FL_DIRECT as the registry keeps them. */
const LETTERS = [
  ['R', 1 << 29],
  ['I', 1 << 25],
  ['D', 1 << 23],
] as const;

function recordOf(lab: RegistryLab, func: number): string | undefined {
  const site = ftraceLocation(lab.world, func);
  const record = site === undefined ? undefined : lab.state.records.get(site);
  if (record === undefined || record.count === 0) return undefined;
  const letters = LETTERS.filter(([, flag]) => (record.flags & flag) !== 0).map(([letter]) => letter);
  return `${record.count}${letters.join('')}`;
}

function probesOf(lab: RegistryLab, func: number): string | undefined {
  const probes: string[] = [];
  for (const entry of lab.state.kprobeTable.values()) {
    if (lab.world.image.symbols.containing(entry.addr)?.offset !== func) continue;
    for (const child of entry.children) {
      const isReturn = child.kind === 'probe' && lab.state.kprobes.get(child.id)?.kind === 'kretprobe';
      probes.push(`${isReturn ? 'r' : 'k'}${entry.isFtrace ? 'f' : ''}`);
    }
  }
  return probes.length === 0 ? undefined : probes.sort().join(' ');
}

/** Steps that were compared, and what differed. */
function replay(lab: RegistryLab, scenario: RecordedScenario): { readonly compared: number; readonly wrong?: string } {
  const { steps, initial } = scenario;
  const func = lab.world.image.symbols.offsetOf(steps[0]?.target ?? '');
  if (func === undefined) return { compared: 0 };
  const addressOf = (place: string): string => {
    const [name = '', delta = '0'] = place.split('+');
    return lab.address(lab.at(name, Number(delta)));
  };
  const ids = new Map<string, string>();
  let compared = 0;
  for (const [index, step] of steps.entries()) {
    if (step.op === 'attach') {
      const { outcome } = lab.decide(requestOf(step, bodyOffset(initial), addressOf));
      if (outcome.kind === 'granted') ids.set(step.name, outcome.attachment.id);
    } else lab.detach(ids.get(step.name) ?? '');
    if (step.after === undefined) continue;
    compared += 1;
    const have = { record: recordOf(lab, func), probes: probesOf(lab, func) };
    const need = { record: step.record, probes: step.probes };
    if (have.record !== need.record || have.probes !== need.probes)
      return { compared, wrong: `step ${index}: Linux ${JSON.stringify(need)}, here ${JSON.stringify(have)}` };
  }
  return { compared };
}

for (const [file, kernel] of [
  ['scenarios-6.12.json.br', RECORDED_6_12],
  ['scenarios-6.1.json.br', RECORDED_6_1],
] as const) {
  const { path, skip } = realKernel(kernel);
  const { scenarios } = readRecording(file);
  const oneFunction = scenarios.filter(({ steps }) => new Set(steps.map(({ target }) => target)).size === 1);

  describe(`records and probes on ${kernel}`, { skip }, () => {
    it(`are what Linux listed, ${oneFunction.length} scenarios`, async () => {
      const image = await kernelImage(path);
      const lab = new RegistryLab(image, 'linux');
      const pristine = lab.state;
      const wrong: string[] = [];
      let compared = 0;
      for (const scenario of oneFunction) {
        lab.restart(pristine);
        const result = replay(lab, scenario);
        compared += result.compared;
        if (result.wrong !== undefined) wrong.push(`${scenario.id}\n  ${result.wrong}`);
      }
      assert.ok(compared > oneFunction.length, 'something was compared');
      assert.equal(wrong.length, 0, `${wrong.length} of ${oneFunction.length} differ:\n${wrong.join('\n')}`);
    });
  });
}
