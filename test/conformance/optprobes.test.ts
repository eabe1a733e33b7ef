/**
 * Jump-optimized kprobes as recorded, step by step. Goal: the same bytes in the whole function (of a jump all but where it goes), the same
 * errno, the same [OPTIMIZED] in kprobes/list. Method: the recorded function is rebuilt on the built-in kernel (`lab_opt`); the registry alone,
 * `linux` strictness, the rules of the recorded version. The recording machine waited for the optimizer after it attached, not after it detached.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { KernelImage } from '../../src/image/index.ts';
import { type AttachRequest, kernelView } from '../../src/registry/index.ts';
import { builtinImage } from '../support/images.ts';
import { RegistryLab } from '../support/registry-lab.ts';

interface Step {
  readonly op: 'attach' | 'detach' | 'wait';
  readonly name?: string;
  readonly kind?: string;
  readonly off?: number;
  readonly errno: string;
  readonly bytes: string;
  /** Offset in the function and flags. */
  readonly probes: readonly (readonly [number, string])[];
}

interface Scenario {
  readonly id: string;
  readonly initial: string;
  readonly steps: readonly Step[];
}

const file = new URL('./optprobes.json', import.meta.url);
const RECORDED = JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<'6.12' | '6.1', readonly Scenario[]>>;

const as = (image: KernelImage, minor: number): KernelImage => ({ ...image, version: { major: 6, minor, patch: 0 } });

const F = 'lab_opt';
/** Behind its return each kernel pads in its own way. */
const RETURN = 51;
/** Where the rebuilt function has its ftrace site, and where that of 6.12 has it; that of 6.1 has no ENDBR. */
const SITE = 4;
const SITE_SIZE = 5;

class Replay {
  readonly #lab: RegistryLab;
  readonly #scenario: Scenario;
  /** What has to be added to the recorded offsets. */
  readonly #shift: number;
  readonly #ids = new Map<string, string>();
  jumps = 0;

  constructor(lab: RegistryLab, scenario: Scenario, shift: number) {
    this.#lab = lab;
    this.#scenario = scenario;
    this.#shift = shift;
  }

  run(): void {
    for (const [index, step] of this.#scenario.steps.entries()) {
      const where = `${this.#scenario.id}, step ${index}`;
      assert.equal(this.#take(step), step.errno, where);
      assert.equal(this.#body(), this.#comparable(step.bytes), where);
      assert.deepEqual(this.#probes(), this.#recordedProbes(step), where);
      assert.deepEqual(this.#lab.orphans(), [], where);
    }
    for (const id of this.#ids.values()) this.#lab.detach(id);
    this.#lab.optimize();
    assert.equal(this.#lab.hex(this.#lab.at(F), RETURN + 1), this.#pristine(), `${this.#scenario.id}, at the end`);
    assert.equal(this.#lab.state.kprobeTable.size, 0);
  }

  #request({ kind, off = 0 }: Step): AttachRequest {
    const at = `${F}+${off + this.#shift}`;
    if (kind === 'kpm') return { kind: 'kprobe', target: at };
    if (kind === 'kpm_post') return { kind: 'kprobe', target: at, options: { postHandler: true } };
    if (kind === 'kp') return { kind: 'kprobe', target: F };
    if (kind === 'fo') return { kind: 'ftrace', target: F };
    throw new Error(`no request for ${kind}`);
  }

  #take(step: Step): string {
    if (step.op === 'wait') {
      this.#lab.optimize();
      return 'OK';
    }
    const name = step.name ?? '';
    if (step.op === 'detach') {
      const { outcome } = this.#lab.detach(this.#ids.get(name) ?? '');
      this.#ids.delete(name);
      return outcome.kind === 'granted' ? 'OK' : outcome.fault.errno;
    }
    const { outcome } = this.#lab.decide(this.#request(step));
    if (outcome.kind === 'granted') this.#ids.set(name, outcome.attachment.id);
    this.#lab.optimize();
    return outcome.kind === 'granted' ? 'OK' : outcome.fault.errno;
  }

  #pristine(): string {
    const bytes = this.#lab.world.pristine.bytes(this.#lab.at(F), RETURN + 1);
    return Buffer.from(bytes).toString('hex');
  }

  /** The body up to its return; a jump of a probe without its destination. */
  #comparable(hex: string): string {
    const body = Buffer.from(hex, 'hex').subarray(SITE + SITE_SIZE - this.#shift, RETURN + 1 - this.#shift);
    const pristine = Buffer.from(this.#scenario.initial, 'hex').subarray(SITE + SITE_SIZE - this.#shift);
    const words = [...body].map((byte) => byte.toString(16).padStart(2, '0'));
    for (let at = 0; at < words.length; at++) {
      if (body[at] !== 0xe9 || pristine[at] === 0xe9) continue;
      words.fill('->', at + 1, Math.min(at + 5, words.length));
      at += 4;
    }
    return words.join(' ');
  }

  #body(): string {
    const hex = this.#lab.hex(this.#lab.at(F) + this.#shift, RETURN + 1 - this.#shift);
    const text = this.#comparable(hex);
    this.jumps += text.split('e9 ->').length - 1;
    return text;
  }

  #probes(): readonly string[] {
    const list = kernelView(this.#lab.view(), 'debug/kprobes/list');
    if (!list.ok) throw new Error(list.fault.detail);
    return list.value
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replace(/^.*\+0x(\w+)\s*/, '$1 ').trim())
      .sort();
  }

  #recordedProbes({ probes }: Step): readonly string[] {
    return probes.map(([offset, flags]) => `${(offset + this.#shift).toString(16)} ${flags}`.trim()).sort();
  }
}

for (const [version, minor, shift] of [
  ['6.12', 12, 0],
  ['6.1', 1, 4],
] as const)
  describe(`optimized kprobes recorded on ${version}`, () => {
    for (const scenario of RECORDED[version])
      it(scenario.id, async () =>
        new Replay(new RegistryLab(as(await builtinImage(), minor), 'linux'), scenario, shift).run(),
      );

    it('are jumps at some step', async () => {
      let jumps = 0;
      for (const scenario of RECORDED[version]) {
        const replay = new Replay(new RegistryLab(as(await builtinImage(), minor), 'linux'), scenario, shift);
        replay.run();
        jumps += replay.jumps;
      }
      assert.ok(jumps > RECORDED[version].length, `${jumps} jumps`);
    });
  });
