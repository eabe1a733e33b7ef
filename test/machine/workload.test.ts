/**
 * Goal: calls that run while owners come and go are not lost, and fire the owners that were there throughout, each once, and nobody who was not there.
 * Method: seeded random attaching and detaching under CPUs that run in turns of some instructions; every call is compared with what it does alone in
 * the states that it met. Canary: the comparison finds calls that fire somebody else.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Prng, seededPrng, systemClock } from '../../src/base/index.ts';
import { dataRequest, type KernelImage, readImageData } from '../../src/image/index.ts';
import {
  type CallOutcome,
  type MachineCall,
  type MachineState,
  machineImage,
  textDelta,
  Workload,
  type WorkloadOptions,
} from '../../src/machine/index.ts';
import { type Reference, wrongFiring } from '../../src/machine/workload/expected-firing.ts';
import { LiveChange, type LiveMachine, type LiveWriter } from '../../src/machine/workload/live-change.ts';
import type { TextChange } from '../../src/machine/workload/text-change.ts';
import { describeRuntime, type OwnerKind } from '../../src/registry/index.ts';
import { TextMutex } from '../../src/textpoke/index.ts';
import { BUILTIN_PATH, buffer, text, word } from '../support/call-lab.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { RegistryLab } from '../support/registry-lab.ts';

const F = 'bpf_modify_return_test';
const LIMITS = { cpu: 0, maxInstructions: 20_000, maxMs: 10_000, traceMax: 0 };
type Owner = readonly [kind: OwnerKind, target: string, options: Readonly<Record<string, unknown>>];

const OWNERS: readonly Owner[] = [
  ['fentry', F, {}],
  ['fentry', F, {}],
  ['fexit', F, {}],
  ['kprobe', F, {}],
  ['kretprobe', F, {}],
  ['kretprobe', F, { maxActive: 1 }],
  ['kprobe', `${F}+9`, { optimize: false }],
  ['kprobe', `${F}+9`, { optimize: false }],
  ['ftrace', F, {}],
  ['ftrace', F, { saveRegs: true }],
  ['ftrace', F, { tracer: 'function' }],
  ['ftrace', F, { tracer: 'function_graph' }],
  ['fprobe', F, {}],
  ['kprobe_multi', F, {}],
  ['kretprobe_multi', F, {}],
  ['ftrace_direct', F, { sharesIpmodify: true }],
  ['livepatch', F, {}],
  ['fentry', 'strlen', {}],
  ['kprobe', 'strlen', {}],
];

let version = 0;
function stateOf({ world, state, text: live }: RegistryLab): MachineState {
  version += 1;
  return { version, delta: textDelta(live, live.changedRanges()), runtime: describeRuntime(world, state, live) };
}

/** Attaches or detaches somebody, whatever the registry says to it. */
function change(lab: RegistryLab, random: Prng): void {
  const ids = [...lab.state.attachments.keys()];
  if (ids.length > 0 && random.below(10) < (ids.length > 4 ? 7 : 4)) {
    lab.detach(ids[random.below(ids.length)] as string);
    return;
  }
  const [kind, target, options] = OWNERS[random.below(OWNERS.length)] as Owner;
  lab.decide({ kind, target, options });
}

interface Ran {
  readonly counts: Workload['counts'];
  /** The first call that was not as it has to be. */
  readonly wrong: string | undefined;
}

async function run(
  image: KernelImage,
  cpus: number,
  seed: number,
  changes: number,
  writer?: WorkloadOptions['writer'],
): Promise<Ran> {
  const data = await readImageData(dataRequest(image, image.source === 'builtin' ? BUILTIN_PATH : image.source));
  assert.ok(data.ok);
  const random = seededPrng(seed);
  const lab = new RegistryLab(image, 'safe');
  const call = (name: string, args: MachineCall['args']): MachineCall => ({
    function: image.base + BigInt(lab.at(name)),
    args,
    ...LIMITS,
  });
  const mix = [
    call(F, [word(1), buffer('02000000')]),
    call('strlen', [text('a text of some length')]),
    call('tcp_set_state', [buffer('00'.repeat(512)), word(7)]),
  ].slice(0, image.source === 'builtin' ? 3 : 2);
  const mutex = new TextMutex({ clock: systemClock });
  const result = await mutex.run({ client: 'workload', what: 'test' }, (held) => {
    const options = { image: machineImage(image, data.value, cpus), mix, state: stateOf(lab), clock: systemClock };
    const workload = new Workload({ ...options, prng: random, held, ...(writer === undefined ? {} : { writer }) });
    let wrong: string | undefined;
    const turn = (begin?: number): void => {
      for (const done of workload.turn(begin)) if (done.wrong !== undefined) wrong ??= `${done.call} ${done.wrong}`;
    };
    for (let i = 0; i < changes; i++) {
      change(lab, random);
      workload.show(stateOf(lab));
      for (let turns = random.below(60); turns >= 0; turns--) turn();
    }
    while (workload.inFlight > 0) turn(0);
    return { counts: workload.counts, wrong };
  });
  assert.ok(result.ok);
  return result.value;
}

describe('a workload while owners come and go', () => {
  const seed = Number(process.env['WORKLOAD_SEED'] ?? 4);
  for (const [cpus, changes] of [
    [1, 60],
    [4, 200],
    [64, 12],
  ] as const)
    it(`${cpus} CPUs, ${changes} changes (WORKLOAD_SEED=${seed})`, async (t) => {
      const { counts, wrong } = await run(await builtinImage(), cpus, seed, changes);
      t.diagnostic(JSON.stringify(counts));
      assert.equal(counts.started, counts.finished);
      assert.equal(wrong, undefined);
      assert.ok(counts.crossed > 20 && counts.liveChanges > changes / 3, JSON.stringify(counts));
      if (cpus > 1) assert.ok(counts.pokeTraps > 0, JSON.stringify(counts));
    });

  const { path, skip } = realKernel(RECORDED_6_12);
  it(`on ${RECORDED_6_12}`, { skip }, async (t) => {
    const { counts, wrong } = await run(await kernelImage(path), 4, seed, 100);
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual([counts.finished, wrong], [counts.started, undefined]);
    assert.ok(counts.crossed > 20 && counts.pokeTraps > 0, JSON.stringify(counts));
  });
});

describe('canary: a call that fires a wrong set is found', () => {
  const heap = { start: 0n, room: 0n };
  const reference = (version: number, order: readonly string[], value = 4n): Reference => ({
    version,
    ended: 'returned',
    value,
    order,
    counts: new Map(order.map((name) => [name, order.filter((each) => each === name).length])),
  });
  const outcome = (order: readonly string[], value = 4n): CallOutcome => ({
    end: { kind: 'returned', value },
    instructions: 1,
    fired: order.map((attachment) => ({ attachment, at: 0, args: [], instructions: 0 })),
    misses: [],
    registers: {},
    log: [],
    traced: [],
    buffers: [],
    counted: [],
    mapWrites: [],
    trace: [],
  });
  const [before, after] = [reference(1, ['a', 'b']), reference(2, ['a', 'b', 'c'])];

  it('in one state: order, a missing owner, a stranger, another result', () => {
    assert.equal(wrongFiring(outcome(['a', 'b']), [before], heap), undefined);
    assert.equal(wrongFiring(outcome(['b', 'a']), [before], heap), 'fired b,a, not a,b');
    assert.equal(wrongFiring(outcome(['a']), [before], heap), 'fired a, not a,b');
    assert.equal(wrongFiring(outcome(['a', 'b', 'c']), [before], heap), 'fired a,b,c, not a,b');
    assert.equal(wrongFiring(outcome(['a', 'b'], 5n), [before], heap), 'returned 0x5, not 0x4');
  });

  it('in two: whoever came may fire or not, whoever stayed fires once', () => {
    for (const order of [
      ['a', 'b'],
      ['a', 'c', 'b'],
    ])
      assert.equal(wrongFiring(outcome(order), [before, after], heap), undefined);
    assert.equal(wrongFiring(outcome(['a', 'c']), [before, after], heap), 'b fired 0 times, at least 1 expected');
    assert.equal(wrongFiring(outcome(['a', 'a', 'b']), [before, after], heap), 'a fired 2 times, at most 1 expected');
    assert.equal(wrongFiring(outcome(['a', 'b', 'd']), [before, after], heap), 'd fired 1 times, at most 0 expected');
  });

  it('a hook that found its pool empty is accounted for', () => {
    const exhausted = { ...outcome(['a']), misses: [{ attachment: 'b', reason: 'instances exhausted' as const }] };
    assert.equal(wrongFiring(exhausted, [before], heap), undefined);
  });
});

describe("canary: writes that are not the protocol's are found", () => {
  const NO_VECTOR = { refs: 0, entries: [] };
  /** Does `writes` one after the other. */
  const inSteps = (writes: readonly (() => void)[]): LiveWriter => {
    let next = 0;
    return {
      vector: NO_VECTOR,
      get isOver() {
        return next >= writes.length;
      },
      step: () => writes[next++]?.(),
    };
  };
  const seed = 4;

  it('instructions written byte by byte, without an int3', async () => {
    const torn = ({ text }: LiveMachine, { installs, singles, pokes }: TextChange): LiveWriter =>
      inSteps([
        () => {
          for (const { at, bytes } of [...installs, ...singles]) text.write(at, bytes);
        },
        ...pokes.flatMap(({ at, bytes }) => [...bytes].map((byte, i) => () => text.write(at + i, Uint8Array.of(byte)))),
      ]);
    const { wrong } = await run(await builtinImage(), 4, seed, 60, torn);
    assert.match(wrong ?? '', /^\d (ended with fault|returned|att_|fired)/);
  });

  it('generated code taken away before those who run in it have left', async () => {
    const hasty = (machine: LiveMachine, change: TextChange): LiveWriter => {
      const live = new LiveChange(machine, change);
      const takeAway = (): void => {
        for (const { at, bytes } of change.removals) machine.text.write(at, bytes);
      };
      return {
        get vector() {
          return live.vector;
        },
        get isOver() {
          return live.isOver;
        },
        step: () => {
          live.step();
          if (live.isOver) takeAway();
        },
      };
    };
    const { wrong } = await run(await builtinImage(), 16, seed, 60, hasty);
    assert.match(wrong ?? '', /^\d ended with fault, not returned/);
  });
});
