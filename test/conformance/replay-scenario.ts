import { formatAddress } from '../../src/base/index.ts';
import type { Coordinator } from '../../src/coordinator/index.ts';
import { caller } from '../support/coordinators.ts';
import { comparable } from './masked-bytes.ts';
import { compareFiring } from './recorded-firing.ts';
import { bodyOffset, type RecordedScenario, type RecordedStep, requestOf } from './scenarios.ts';

/** From here on the recorded kernel has data and text that it freed when it had booted; neither stayed as it was. */
const TEXT_END = 0xffff_ffff_8200_0000n;

const LAB = caller('lab');

/** Places of kprobes in the body around which bytes cannot be compared, by offset from the scenario's place. */
type Probes = Map<number, 'armed' | 'gone'>;

/** Whether the kprobe optimizer has its turn after each step, or only at the end. */
export type OptimizerTurns = 'each step' | 'the end';

class Replay {
  readonly #turns: OptimizerTurns;
  readonly #coordinator: Coordinator;
  readonly #scenario: RecordedScenario;
  readonly #body: number;
  readonly #ids = new Map<string, string>();
  readonly #probes: Probes = new Map();
  /** Jumps that were compared. */
  jumps = 0;
  /** Owners whose firing was compared. */
  fired = 0;

  constructor(coordinator: Coordinator, scenario: RecordedScenario, turns: OptimizerTurns) {
    this.#turns = turns;
    this.#coordinator = coordinator;
    this.#scenario = scenario;
    this.#body = bodyOffset(scenario.initial);
  }

  async run(): Promise<string | undefined> {
    for (const [index, step] of this.#scenario.steps.entries()) {
      const answer = step.op === 'attach' ? await this.#attach(step) : await this.#detach(step);
      const where = `step ${index}, ${step.op} ${step.kind} ${step.target}`;
      if (answer !== step.errno) return `${where}: Linux ${step.errno}, here ${answer}`;
      if (answer === 'OK') this.#noteProbe(step);
      if (this.#turns === 'each step') await this.#coordinator.waitForKprobeOptimizer();
      const bytes = step.after === undefined ? undefined : this.#differingBytes(step.after, this.#probes);
      if (bytes !== undefined) return `${where}: ${bytes}`;
      const orphans = this.#coordinator.audit().orphans;
      if (orphans.length > 0) return `${where}: nobody accounts for ${JSON.stringify(orphans)}`;
      const firing = await compareFiring(this.#coordinator, this.#scenario, step, this.#ids);
      this.fired += firing.compared;
      if (firing.difference !== undefined) return `${where}: ${firing.difference}`;
    }
    for (const id of [...this.#ids.values()].reverse()) {
      // A cumulative livepatch took the others with it.
      if (this.#hasReplaced() && !this.#coordinator.attachment(id).ok) continue;
      const left = await this.#coordinator.detach(LAB, id);
      if (!left.ok) return `at the end, detach: ${left.fault.errno} ${left.fault.rule}`;
    }
    await this.#coordinator.waitForKprobeOptimizer();
    return this.#end();
  }

  #hasReplaced(): boolean {
    return this.#scenario.steps.some((step) => step.kind === 'lpr');
  }

  async #attach(step: RecordedStep): Promise<string> {
    const request = requestOf(step, this.#body, (place) => this.#addressOf(place));
    const attached = await this.#coordinator.attach(LAB, request, {});
    if (!attached.ok) return attached.fault.errno;
    this.#ids.set(step.name, attached.value.id);
    return 'OK';
  }

  async #detach(step: RecordedStep): Promise<string> {
    const id = this.#ids.get(step.name);
    if (id === undefined) return `nothing attached as ${step.name}`;
    const detached = await this.#coordinator.detach(LAB, id);
    if (!detached.ok) return detached.fault.errno;
    this.#ids.delete(step.name);
    return 'OK';
  }

  #addressOf(place: string): string {
    const [name = '', offset = '0'] = place.split('+');
    const symbol = this.#coordinator.symbol(name);
    // Among namesakes the driver took the first, as kallsyms_lookup_name does.
    const address = symbol.ok ? symbol.value.address : /0x[0-9a-f]{16}/.exec(symbol.fault.detail)?.[0];
    if (address === undefined) throw new Error(`${name} is not in the image`);
    return formatAddress(BigInt(address) + BigInt(offset));
  }

  #noteProbe(step: RecordedStep): void {
    const offset = this.#probeOffset(step);
    if (offset === undefined) return;
    const others = this.#scenario.steps.some(
      (each) => each.op === 'attach' && this.#ids.has(each.name) && this.#probeOffset(each) === offset,
    );
    this.#probes.set(offset, step.op === 'attach' || others ? 'armed' : 'gone');
  }

  /** Only probes behind the ftrace site are jump-optimized. */
  #probeOffset(step: RecordedStep): number | undefined {
    if (!step.kind.startsWith('kpm')) return undefined;
    const attach = this.#scenario.steps.find((each) => each.op === 'attach' && each.name === step.name);
    const offset = attach?.off ?? this.#body;
    return offset > 4 ? offset : undefined;
  }

  #differingBytes(want: string, probes: Probes): string | undefined {
    const { at, initial } = this.#scenario;
    if (at === undefined || initial === undefined || BigInt(at) >= TEXT_END) return undefined;
    const text = this.#coordinator.text(at, want.length / 2);
    if (!text.ok) return `no text at ${at}: ${text.fault.detail}`;
    // Where Linux has made a jump of an armed probe, so must the optimizer here once it ran.
    const recorded = Buffer.from(want, 'hex');
    const isJump = (offset: number): boolean =>
      this.#turns === 'each step' && probes.get(offset) === 'armed' && recorded[offset] === 0xe9;
    const have = comparable(text.value.bytes, initial, BigInt(at), probes, isJump);
    const need = comparable(want, initial, BigInt(at), probes, isJump);
    for (const offset of probes.keys()) if (isJump(offset)) this.jumps += 1;
    return have === need ? undefined : `bytes\n    Linux ${need}\n    here  ${have}`;
  }

  #end(): string | undefined {
    const { initial, left } = this.#scenario;
    const end = left ?? initial;
    const bytes = end === undefined ? undefined : this.#differingBytes(end, new Map());
    if (bytes !== undefined) return `after all left: ${bytes}`;
    const { differing, orphans } = this.#coordinator.audit();
    if (orphans.length > 0) return `after all left: nobody accounts for ${JSON.stringify(orphans)}`;
    if (left === undefined && differing !== 0) return `after all left: ${differing} bytes are not as they were`;
    return undefined;
  }
}

export interface Replayed {
  /** What differs from the recording; undefined when nothing does. */
  readonly difference: string | undefined;
  /** Probes compared as jumps. */
  readonly jumps: number;
  readonly fired: number;
}

/** Plays one scenario; the coordinator is pristine before and after. */
export async function replayScenario(
  coordinator: Coordinator,
  scenario: RecordedScenario,
  turns: OptimizerTurns,
): Promise<Replayed> {
  const replay = new Replay(coordinator, scenario, turns);
  const difference = await replay.run();
  if (difference !== undefined || scenario.left !== undefined) await coordinator.reset(LAB, true);
  const { differing } = coordinator.audit();
  const reset = differing === 0 ? undefined : `after a reset: ${differing} bytes are not as they were`;
  return { difference: difference ?? reset, jumps: replay.jumps, fired: replay.fired };
}
