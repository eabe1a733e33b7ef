/**
 * A crash at every boundary between two commits of a recorded run. Goal: whatever suffix was never flushed, recovery finds exactly the state,
 * text and events that were there after the last flushed command, and the audit is clean. Method: random histories over a store in memory
 * that keeps every commit; after each command what must be there is noted; then each prefix of the commits is recovered and compared.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock, seededPrng } from '../../src/base/index.ts';
import { type Coordinator, openDurable, type Strictness } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { MemoryStore, type StoreBatch } from '../../src/journal/index.ts';
import { RandomHistory } from '../property/random-history.ts';
import { type Action, action, placesOf } from '../property/random-requests.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';
import { checkProperty } from '../support/property.ts';

const FILE = 'test/chaos/crash-boundaries.test.ts';
const NAMES = ['tcp_set_state', 'bpf_modify_return_test', 'schedule'];

async function open(
  image: KernelImage,
  strictness: Strictness,
  store: MemoryStore,
  { seed = 1, clock = new ManualClock() }: { readonly seed?: number; readonly clock?: ManualClock } = {},
) {
  const options = { image, strictness, clock, prng: seededPrng(seed), store, version: 'test' };
  const opened = await openDurable({ ...options, snapshotEvery: 3 });
  assert.ok(opened.ok, opened.ok ? '' : `${opened.fault.rule}: ${opened.fault.detail}`);
  return opened.value;
}

/** All that a client can see of a kernel, but for how long things took. */
function visible(coordinator: Coordinator): string {
  const page = { limit: 10_000 };
  const { differing, attributed, orphans } = coordinator.audit();
  const attachments = coordinator.attachments(page);
  const text = attachments.ok
    ? attachments.value.items.flatMap(({ sites = [] }) => sites.map(({ address }) => coordinator.text(address, 16)))
    : [];
  const events = coordinator.eventsAfter(0, 100_000);
  const views = ['tracing/enabled_functions', 'debug/kprobes/list'].map((name) => coordinator.kernelView(name));
  return JSON.stringify({
    attachments,
    sites: coordinator.sites(page),
    text,
    differing,
    attributed,
    orphans,
    events,
    views,
  });
}

/** Where two long texts part, with what is around it. */
function firstDifference(actual: string, expected: string): string | undefined {
  if (actual === expected) return undefined;
  let at = 0;
  while (actual[at] === expected[at]) at++;
  const around = (text: string): string => text.slice(Math.max(0, at - 120), at + 120);
  return `${around(actual)}\n instead of\n${around(expected)}`;
}

/** In Linux a breakpoint makes other owners fail for good, which the history does not follow. */
const isBreakpoint = (action: Action): boolean => action.kind === 'attach' && action.request.kind === 'kgdb';

interface Run {
  readonly commits: readonly StoreBatch[];
  /** What was visible once so many commits were on disk. */
  readonly after: ReadonlyMap<number, string>;
}

async function recordRun(image: KernelImage, strictness: Strictness, actions: readonly Action[]): Promise<Run> {
  const store = new MemoryStore();
  const clock = new ManualClock();
  const { coordinator } = await open(image, strictness, store, { clock });
  const functions = NAMES.flatMap((name) => placesOf(coordinator, name) ?? []);
  const after = new Map([[store.commits.length, visible(coordinator)]]);
  const history = new RandomHistory(coordinator, clock, functions);
  for (const each of actions) {
    if (strictness === 'safe' || !isBreakpoint(each)) await history.act(each);
    // A refusal is not waited for; let its record land, too.
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    after.set(store.commits.length, visible(coordinator));
  }
  // Closing lets the optimizer run first, which is a change like any other.
  await coordinator.waitForKprobeOptimizer();
  after.set(store.commits.length, visible(coordinator));
  await coordinator.close();
  after.set(store.commits.length, visible(coordinator));
  return { commits: store.commits, after };
}

describe('a crash at every record boundary', () => {
  for (const strictness of ['safe', 'linux'] as const)
    it(`loses nothing that was flushed and keeps nothing that was not (${strictness})`, async () => {
      const image = await builtinImage();
      let compared = 0;
      const property = fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 20 }), async (actions) => {
        const { commits, after } = await recordRun(image, strictness, actions);
        for (let flushed = 1; flushed <= commits.length; flushed++) {
          const { coordinator } = await open(image, strictness, new MemoryStore(commits.slice(0, flushed)), {
            seed: 2,
          });
          const expected = after.get(flushed);
          // Between two commands of one action nobody has looked; opening it has audited it all the same.
          if (expected === undefined) continue;
          const difference = firstDifference(visible(coordinator), expected);
          assert.equal(difference, undefined, `after ${flushed} of ${commits.length} commits`);
          compared += 1;
        }
      });
      await checkProperty(FILE, property, 25);
      assert.ok(compared > 50, `${compared} boundaries are too few`);
    });

  it('is reported when a commit is lost in the middle (canary)', async () => {
    const image = await builtinImage();
    const store = new MemoryStore();
    const { coordinator } = await open(image, 'safe', store);
    for (const name of NAMES) await coordinator.attach(caller(), { kind: 'fentry', target: name }, {});
    const commits = store.commits.filter((_, i) => i !== 2);
    const options = {
      image,
      strictness: 'safe' as const,
      clock: new ManualClock(),
      prng: seededPrng(1),
      version: 'test',
    };
    const refused = await openDurable({ ...options, store: new MemoryStore(commits) });
    assert.ok(!refused.ok);
    assert.equal(refused.fault.rule, 'journal.corrupt');
  });
});
