/**
 * Random histories around static branches and static calls: keys, calls and tracepoints are switched while kprobes, tracers, BPF programs and
 * breakpoints come and go on the instructions next to their places. Goal: at every step all changed bytes are accounted for, a plan says what
 * attaching then does, nobody is kept from leaving, and at the end text is pristine. Method: few keys and the functions that have their places.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/base/index.ts';
import type { Coordinator, OwnerKind, Strictness } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { makeWorld } from '../../src/registry/index.ts';
import { keyEntries } from '../../src/registry/jump-label/keys.ts';
import { staticCallNamed } from '../../src/registry/static-call/calls.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { checkProperty } from '../support/property.ts';
import { RandomHistory } from './random-history.ts';
import type { Action } from './random-requests.ts';

const FILE = 'test/property/static-places.test.ts';

const KEYS = ['bpf_stats_enabled_key', 'sched_schedstats', '__tracepoint_sched_switch'];
const CALLS = ['tp_func_sched_switch', 'tp_func_inet_sock_set_state', 'irqentry_exit_cond_resched', 'might_resched'];
const TRACEPOINTS = ['sched_switch', 'inet_sock_set_state'];
/** Places taken of each key and call. */
const PLACES_EACH = 4;
/** Bytes disassembled from a place on. */
const WINDOW = 40;

interface Places {
  /** Instructions from the places on, the places themselves among them, as addresses. */
  readonly instructions: readonly string[];
  /** Those that nobody but a kprobe and kgdb can have. */
  readonly plain: readonly string[];
  readonly functions: readonly string[];
}

function sitesOf(image: KernelImage): readonly number[] {
  const world = makeWorld(image, { strictness: 'safe' });
  const found: number[] = [];
  for (const name of KEYS) {
    const at = image.symbols.offsetOf(name) ?? 0;
    const entries = keyEntries(world, at) ?? keyEntries(world, at + 8) ?? [];
    for (const entry of entries.slice(0, PLACES_EACH)) found.push(image.jumpLabels.code[entry] as number);
  }
  for (const name of CALLS)
    for (const entry of staticCallNamed(world, name)?.entries.slice(0, PLACES_EACH) ?? [])
      found.push(image.staticCalls.site[entry] as number);
  return found;
}

function placesOf(image: KernelImage, coordinator: Coordinator): Places {
  const instructions = new Set<string>();
  const functions = new Set<string>();
  for (const site of sitesOf(image)) {
    const name = image.symbols.containing(site)?.name;
    if (name !== undefined && image.symbols.byName(name).length === 1) functions.add(name);
    const text = coordinator.text(`0x${(image.base + BigInt(site)).toString(16)}`, WINDOW);
    assert.ok(text.ok);
    for (const insn of text.value.instructions) instructions.add(insn.address);
  }
  const isPlain = (address: string): boolean => {
    const site = coordinator.site(address);
    return site.ok && site.value.kind === 'text';
  };
  const all = [...instructions];
  return { instructions: all, plain: all.filter(isPlain), functions: [...functions] };
}

const attach = (kind: OwnerKind, targets: readonly string[], options: fc.Arbitrary<object>): fc.Arbitrary<Action> =>
  fc.record({ target: fc.constantFrom(...targets), options }).map(({ target, options: chosen }) => ({
    kind: 'attach',
    request: { kind, options: { ...chosen }, func: 0, at: { kind: 'entry' }, moreFuncs: [], target },
  }));

function actionsFor(places: Places, strictness: Strictness): fc.Arbitrary<Action> {
  const none = fc.constant({});
  const { instructions, functions, plain } = places;
  const attaching: readonly (readonly [number, fc.Arbitrary<Action>])[] = [
    [3, attach('jump_label', KEYS, fc.record({ enabled: fc.boolean() }, { requiredKeys: [] }))],
    [3, attach('static_call', CALLS, fc.record({ to: fc.constantFrom('gcd', 'NULL') }, { requiredKeys: [] }))],
    [3, attach('tracepoint', TRACEPOINTS, none)],
    [6, attach('kprobe', instructions, fc.record({ postHandler: fc.boolean() }))],
    [2, attach('ftrace', functions, fc.record({ saveRegs: fc.boolean() }))],
    [2, attach('fentry', functions, none)],
    [1, attach('fexit', functions, none)],
    // What a breakpoint does to the places themselves in Linux nobody recovers from.
    [3, attach('kgdb', strictness === 'safe' ? [...instructions, ...functions] : plain, none)],
  ];
  return fc.oneof(
    ...attaching.map(([weight, arbitrary]) => ({ weight, arbitrary })),
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('detach' as const), which: fc.nat(40) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('setEnabled' as const), which: fc.nat(40), enabled: fc.boolean() }),
    },
  );
}

async function histories(image: KernelImage, strictness: Strictness, runs: number): Promise<void> {
  const clock = new ManualClock();
  const coordinator = testCoordinator(image, strictness, 1, clock);
  const places = placesOf(image, coordinator);
  const granted = new Map<OwnerKind, number>();
  const property = fc
    .asyncProperty(
      fc.array(actionsFor(places, strictness), { minLength: 1, maxLength: 30 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 10 }),
      async (actions, leaving) => {
        const history = new RandomHistory(coordinator, clock, [{ name: 'gcd', size: 1, instructions: [] }]);
        for (const each of actions) {
          const before = history.granted;
          await history.act(each);
          if (each.kind === 'attach' && history.granted > before)
            granted.set(each.request.kind, (granted.get(each.request.kind) ?? 0) + 1);
        }
        await history.leaveAll(leaving);
      },
    )
    .beforeEach(async () => {
      const reset = await coordinator.reset(caller(), true);
      assert.ok(reset.ok);
    });
  await checkProperty(FILE, property, runs);
  for (const kind of ['jump_label', 'static_call', 'tracepoint', 'kgdb', 'kprobe', 'ftrace'] as const)
    assert.ok((granted.get(kind) ?? 0) > runs / 10, `${kind}: granted ${granted.get(kind) ?? 0} times`);
}

describe('random histories around static branches and calls', () => {
  for (const strictness of ['safe', 'linux'] as const) {
    it(`hold on the built-in kernel, ${strictness}`, async () => histories(await builtinImage(), strictness, 500));
    for (const kernel of [RECORDED_6_12, RECORDED_6_1]) {
      const { path, skip } = realKernel(kernel);
      it(`hold on ${kernel}, ${strictness}`, { skip }, async () => histories(await kernelImage(path), strictness, 100));
    }
  }
});
