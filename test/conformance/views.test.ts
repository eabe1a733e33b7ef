/**
 * The kernel's own listings after each step of the recorded scenarios, line by line, and the scenarios that switch ftrace off and on.
 * Method: the registry alone, in `linux` strictness. Left out of the comparison are the addresses of generated code, the names of handlers
 * that stand for functions of the lab module, and the sticky M (it tells of earlier scenarios).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { brotliDecompressSync } from 'node:zlib';
import { kernelView } from '../../src/registry/index.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { RegistryLab } from '../support/registry-lab.ts';
import { comparable } from './masked-bytes.ts';
import { bodyOffset, type RecordedStep, requestOf } from './scenarios.ts';

/** Lines are absent where nothing was recorded; `after` are the bytes at the scenario's place. */
interface Listed {
  readonly errno: string;
  readonly functions?: readonly string[];
  readonly probes?: readonly string[];
  readonly after?: string;
}

type Step = Listed & ((RecordedStep & Listed) | { readonly op: 'sysctl'; readonly value: number });

interface Scenario {
  readonly id: string;
  readonly target: string;
  readonly at?: string;
  readonly initial?: string;
  readonly steps: readonly Step[];
}

function readScenarios(file: string): readonly Scenario[] {
  const packed = readFileSync(new URL(file, import.meta.url));
  return (JSON.parse(brotliDecompressSync(packed).toString('utf8')) as { scenarios: readonly Scenario[] }).scenarios;
}

const words = (line: string): string => line.replace(/\s+/g, ' ').trim();

const functionLine = (line: string): string =>
  words(line)
    .replace(/ M (?=tramp:|->)/, ' ')
    .replace(/0xffffffffc[0-9a-f]{7}/g, 'GENERATED')
    .replace(/(?:h_ft|ftrace_handler_\w+)\+0x0\/0x[0-9a-f]+ \[(?:lab|ktextd)\]/g, 'HANDLER');

function listed(lab: RegistryLab, view: string, isOf: (line: string) => boolean): readonly string[] {
  const text = kernelView(lab.view(), view);
  if (!text.ok) throw new Error(text.fault.detail);
  return text.value.split('\n').filter(isOf);
}

const sorted = (lines: readonly string[], form: (line: string) => string): string =>
  lines.map(form).sort().join('\n      ');

class Replay {
  readonly #lab: RegistryLab;
  readonly #scenario: Scenario;
  readonly #ids = new Map<string, string>();
  /** The kprobe optimizer has its turn after each step. */
  readonly #isOptimized: boolean;
  compared = 0;

  constructor(lab: RegistryLab, scenario: Scenario, isOptimized: boolean) {
    this.#isOptimized = isOptimized;
    this.#lab = lab;
    this.#scenario = scenario;
  }

  /** What differs from the recording; undefined when nothing does. */
  run(): string | undefined {
    for (const [index, step] of this.#scenario.steps.entries()) {
      const errno = this.#take(step);
      if (errno !== step.errno) return `step ${index}: Linux ${step.errno}, here ${errno}`;
      if (this.#isOptimized) this.#lab.optimize();
      const wrong = this.#differs(step);
      if (wrong !== undefined) return `step ${index}: ${wrong}`;
      const orphans = this.#lab.orphans();
      if (orphans.length > 0) return `step ${index}: nobody accounts for ${orphans.join(', ')}`;
    }
    return undefined;
  }

  #take(step: Step): string {
    const lab = this.#lab;
    if (step.op === 'sysctl') return errnoOf(lab.sysctl('kernel.ftrace_enabled', step.value).outcome);
    if (step.op === 'detach') return errnoOf(lab.detach(this.#ids.get(step.name) ?? '').outcome);
    const addressOf = (place: string): string => {
      const [name = '', delta = '0'] = place.split('+');
      return lab.address(lab.at(name, Number(delta)));
    };
    const { outcome } = lab.decide(requestOf(step, bodyOffset(this.#scenario.initial), addressOf));
    if (outcome.kind === 'granted') this.#ids.set(step.name, outcome.attachment.id);
    return errnoOf(outcome);
  }

  #differs({ functions, probes, after }: Listed): string | undefined {
    const { target, at, initial } = this.#scenario;
    if (functions === undefined || probes === undefined) return undefined;
    this.compared += 1;
    const lines = listed(this.#lab, 'tracing/enabled_functions', (line) => line.startsWith(`${target} `));
    const [need, have] = [sorted(functions, functionLine), sorted(lines, functionLine)];
    if (need !== have) return `enabled_functions\n    Linux ${need}\n    here  ${have}`;
    const list = listed(this.#lab, 'debug/kprobes/list', (line) => line.includes(` ${target}+`));
    const [needProbes, haveProbes] = [sorted(probes, words), sorted(list, words)];
    if (needProbes !== haveProbes) return `kprobes/list\n    Linux ${needProbes}\n    here  ${haveProbes}`;
    if (after === undefined || at === undefined || initial === undefined) return undefined;
    const bytes = this.#lab.hex(this.#lab.at(target), after.length / 2);
    const [needBytes, haveBytes] = [after, bytes].map((hex) => comparable(hex, initial, BigInt(at), new Map()));
    return needBytes === haveBytes ? undefined : `bytes\n    Linux ${needBytes}\n    here  ${haveBytes}`;
  }
}

const errnoOf = (outcome: { readonly kind: string; readonly fault?: { readonly errno: string } }): string =>
  outcome.fault?.errno ?? 'OK';

for (const [file, kernel] of [
  ['views-6.12.json.br', RECORDED_6_12],
  ['views-6.1.json.br', RECORDED_6_1],
] as const) {
  const { path, skip } = realKernel(kernel);
  const scenarios = readScenarios(file);
  const switching = scenarios.filter(({ steps }) => steps.some(({ op }) => op === 'sysctl'));
  const others = scenarios.filter((scenario) => !switching.includes(scenario));

  describe(`listings of ${kernel}`, { skip }, () => {
    for (const [what, members] of [
      ['enabled_functions and kprobes/list', others],
      ['kernel.ftrace_enabled', switching],
    ] as const)
      it(`${what}: ${members.length} scenarios`, async () => {
        const lab = new RegistryLab(await kernelImage(path), 'linux');
        const fresh = lab.state;
        const wrong: string[] = [];
        let compared = 0;
        for (const scenario of members) {
          for (const isOptimized of [false, true]) {
            lab.restart(fresh);
            const replay = new Replay(lab, scenario, isOptimized);
            const difference = replay.run();
            compared += replay.compared;
            if (difference !== undefined)
              wrong.push(`${scenario.id}${isOptimized ? ', optimizer ran' : ''}\n  ${difference}`);
          }
        }
        assert.ok(members.length > 0 && compared > members.length, 'something was compared');
        assert.equal(wrong.length, 0, `${wrong.length} of ${members.length} differ:\n${wrong.join('\n')}`);
      });
  });
}
