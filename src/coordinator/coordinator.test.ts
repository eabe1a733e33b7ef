import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller, testCoordinator } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import { ManualClock, seededPrng } from '../base/index.ts';
import { type AttachRequest, RULES } from '../registry/index.ts';
import { createCoordinator } from './create-coordinator.ts';
import { FAULT_RULES } from './faults/index.ts';
import { COORDINATOR_RULES } from './rules.ts';
import type { AttachAnswer, Coordinator } from './service.ts';

const F = 'tcp_set_state';
const ME = caller('me');

const start = async (strictness: 'safe' | 'linux' = 'safe'): Promise<Coordinator> =>
  testCoordinator(await builtinImage(), strictness);

async function attached(
  coordinator: Coordinator,
  kind: AttachRequest['kind'],
  target: AttachRequest['target'] = F,
  options: Readonly<Record<string, unknown>> = {},
  who = ME,
): Promise<AttachAnswer> {
  const answer = await coordinator.attach(who, { kind, target, options }, {});
  assert.ok(answer.ok, answer.ok ? '' : answer.fault.detail);
  return answer.value;
}

describe('attaching', () => {
  it('answers what happened at the site', async () => {
    const coordinator = await start();
    const answer = await attached(coordinator, 'fentry');
    const [site] = answer.sites ?? [];
    assert.ok(site !== undefined);
    assert.deepEqual([answer.kind, answer.client, answer.verdict, answer.siteCount], ['fentry', 'me', 'attached', 1]);
    assert.match(answer.id, /^att_/);
    assert.deepEqual([site.place, site.mechanism, site.before], [`${F}+0x4`, 'ftrace-direct', '0f1f440000']);
    assert.match(site.after, /^e8/);
    assert.deepEqual([site.chain, site.revision], [[answer.id], 1]);
    // Both shared callers, then the site: three pokes in three batches of three sync rounds.
    assert.deepEqual([answer.cost.pokes, answer.cost.batches, answer.cost.syncRounds], [3, 3, 9]);
    assert.equal(coordinator.text(`${F}+4`, 5).ok && coordinator.textMutex().acquisitions, 1);
  });

  it('counts many sites, and lists them when there are few or all are asked for', async () => {
    const coordinator = await start();
    const all = await attached(coordinator, 'ftrace', { pattern: '*' });
    assert.ok(all.siteCount > 60);
    assert.equal(all.sites?.length, all.siteCount);
    assert.ok(all.cost.batches < all.siteCount, 'one batch, not one each');
    const detached = await coordinator.detach(ME, all.id);
    assert.ok(detached.ok);
    assert.equal(detached.value.restored.length, all.siteCount);
    assert.equal(coordinator.audit().differing, 0);
  });

  it('tells everybody in numbered events', async () => {
    const coordinator = await start();
    const heard: string[] = [];
    const unsubscribe = coordinator.onEvent(({ sequence, type }) => heard.push(`${sequence}:${type}`));
    const { id, sequence } = await attached(coordinator, 'kprobe');
    await coordinator.attach(ME, { kind: 'kprobe', target: 'no_such' }, {});
    const before = coordinator.eventRange().last;
    await coordinator.detach(ME, id);
    unsubscribe();
    await attached(coordinator, 'kprobe');
    assert.equal(heard[0], `${sequence}:attached`);
    assert.ok(heard.includes(`${before}:rejected`));
    assert.ok(heard.includes(`${before + 1}:detached`));
    assert.deepEqual(
      heard,
      heard.map((each, index) => `${index + 1}:${each.split(':')[1]}`),
      'without a gap',
    );
    const [rejected] = coordinator.eventsAfter(before - 1, 1);
    assert.deepEqual([rejected?.type, rejected?.data['rule']], ['rejected', 'kprobe.address.unknown']);
  });
});

describe('If-Match', () => {
  it('refuses when the site has moved on, and changes nothing', async () => {
    const coordinator = await start();
    await attached(coordinator, 'kprobe');
    const stale = await coordinator.attach(ME, { kind: 'ftrace', target: F }, { ifMatch: 0 });
    assert.ok(!stale.ok);
    assert.equal(stale.fault.rule, 'precondition.site-revision');
    assert.equal((await coordinator.attach(ME, { kind: 'ftrace', target: F }, { ifMatch: 1 })).ok, true);
    const audit = coordinator.audit();
    assert.deepEqual([audit.orphans, audit.differing === audit.attributed], [[], true]);
  });
});

describe('a plan', () => {
  it('builds on its own steps and changes nothing', async () => {
    const coordinator = await start();
    const plan = coordinator.plan(ME, [
      { attach: { kind: 'kprobe', target: F, options: { postHandler: true } } },
      { attach: { kind: 'fentry', target: F } },
      { attach: { kind: 'ftrace', target: F, options: { ipmodify: true } } },
      { detach: 'plan:0' },
      { attach: { kind: 'ftrace', target: F, options: { ipmodify: true } } },
      { detach: 'att_unknown' },
    ]);
    assert.ok(plan.ok);
    assert.deepEqual(
      plan.value.steps.map(({ verdict }) => verdict),
      ['attached', 'shared', 'refused', 'detached', 'shared', 'refused'],
    );
    assert.equal(plan.value.wouldSucceed, false);
    assert.deepEqual(
      plan.value.steps[2]?.problem?.holders.map((holder) => holder.attachment),
      ['plan:0'],
    );
    assert.equal(coordinator.audit().differing, 0);
    assert.deepEqual(coordinator.eventRange(), { first: 1, last: 0 });
    assert.equal(coordinator.textMutex().acquisitions, 0);
  });

  it('does not guess about kernels whose rules are not built', async () => {
    const coordinator = await start();
    const plan = coordinator.plan(ME, [{ attach: { kind: 'kprobe', target: F } }], '4.19');
    assert.ok(plan.ok);
    assert.deepEqual([plan.value.steps[0]?.verdict, plan.value.wouldSucceed], ['unknown', false]);
  });

  it('does not detach for others', async () => {
    const coordinator = await start();
    const { id } = await attached(coordinator, 'kprobe');
    const plan = coordinator.plan(caller('you', { tenant: 'other' }), [{ detach: id }]);
    assert.ok(plan.ok);
    assert.equal(plan.value.steps[0]?.rule, 'attachment.not-yours');
  });
});

describe('tenants', () => {
  it('detach and reset only what is theirs; an administrator may all', async () => {
    const coordinator = await start();
    const mine = await attached(coordinator, 'kprobe');
    const you = caller('you', { tenant: 'other' });
    const yours = await attached(coordinator, 'fentry', F, {}, you);
    for (const attempt of [coordinator.detach(you, mine.id), coordinator.setEnabled(you, mine.id, false)]) {
      const answer = await attempt;
      assert.equal(!answer.ok && answer.fault.rule, 'attachment.not-yours');
    }
    const reset = await coordinator.reset(you, false);
    assert.ok(reset.ok);
    assert.equal(reset.value.detached, 1);
    assert.equal(coordinator.attachment(yours.id).ok, false);
    assert.equal(coordinator.attachment(mine.id).ok, true);
    assert.ok((await coordinator.detach(caller('root', { tenant: 'other', isAdmin: true }), mine.id)).ok);
    assert.equal(coordinator.audit().differing, 0);
  });
});

describe('questions', () => {
  it('about a place: text, instructions, what was there, who has it', async () => {
    const coordinator = await start();
    const { id } = await attached(coordinator, 'fentry');
    const text = coordinator.text(F, 16);
    assert.ok(text.ok);
    const { symbol, bytes, original, instructions, owners } = text.value;
    assert.deepEqual([symbol, bytes.length, original.slice(8, 18)], [F, 32, '0f1f440000']);
    assert.match(instructions[1]?.text ?? '', /^call/);
    assert.deepEqual(
      owners.map(({ attachment }) => attachment),
      [id],
    );
    const image = coordinator.text(instructions[1]?.target ?? '', 4);
    assert.equal(image.ok && image.value.bytes.slice(0, 8), '554889e5', 'generated code can be read');
  });

  it('about a site: its owners, its history, oldest first', async () => {
    const coordinator = await start();
    const { id } = await attached(coordinator, 'fentry');
    const second = await attached(coordinator, 'kprobe');
    await coordinator.detach(ME, second.id);
    const site = coordinator.site(F);
    assert.ok(site.ok);
    assert.deepEqual([site.value.kind, site.value.revision, site.value.quarantined], ['ftrace', 3, false]);
    assert.deepEqual(site.value.owners, [{ attachment: id, kind: 'fentry', client: 'me', order: 0 }]);
    const history = coordinator.siteHistory(F, { limit: 10 });
    assert.ok(history.ok);
    assert.deepEqual(
      history.value.items.map((poke) => poke.attachment),
      [id, second.id, second.id],
    );
    const [first, then] = history.value.items;
    assert.equal(first?.before, '0f1f440000');
    assert.equal(first?.after, then?.before);
  });

  it('about symbols: what can be attached, and if not why', async () => {
    const coordinator = await start();
    const able = (name: string) => {
      const symbol = coordinator.symbol(name);
      assert.ok(symbol.ok);
      return symbol.value;
    };
    assert.deepEqual(able(F).attachable, { kprobe: true, ftrace: true, fentry: true, fmodRet: false, livepatch: true });
    assert.equal(able(F).prototype, 'void tcp_set_state(struct sock *sk, int state)');
    const thunk = able('__x86_return_thunk');
    assert.deepEqual([thunk.attachable.ftrace, thunk.attachable.fentry], [false, false]);
    const blacklisted = able('get_kprobe');
    assert.equal(blacklisted.attachable.kprobe, false);
    for (const [kind, can] of Object.entries(blacklisted.attachable))
      assert.equal(can, blacklisted.why[kind] === undefined, `${kind} is explained`);
  });

  it('about what is attachable agree with what is granted', async () => {
    const coordinator = await start();
    const all = coordinator.symbols({ limit: 1_000 });
    assert.ok(all.ok);
    const names = all.value.items.map(({ name }) => name);
    for (const symbol of all.value.items) {
      if (names.indexOf(symbol.name) !== names.lastIndexOf(symbol.name)) continue;
      for (const kind of ['kprobe', 'ftrace', 'fentry'] as const) {
        const plan = coordinator.plan(ME, [{ attach: { kind, target: symbol.name } }]);
        assert.ok(plan.ok);
        const { verdict, problem } = plan.value.steps[0] ?? {};
        const says = symbol.attachable[kind] ? 'attached' : 'refused';
        assert.equal(verdict, says, `${kind} ${symbol.name}: ${symbol.why[kind] ?? ''} / ${problem?.detail ?? ''}`);
      }
    }
  });

  it('in pages: every item once', async () => {
    const coordinator = await start();
    for (const name of ['vfs_read', 'do_mmap', F, 'vfs_write', 'gcd']) await attached(coordinator, 'kprobe', name);
    const inPages = <T>(
      ask: (cursor?: string) => { readonly items: readonly T[]; readonly nextCursor: string | null },
    ) => {
      const seen: T[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = ask(cursor);
        seen.push(...page.items);
        if (page.nextCursor === null) return seen;
        cursor = page.nextCursor;
      }
    };
    const page = (cursor?: string) => ({ limit: 2, ...(cursor === undefined ? {} : { cursor }) });
    const attachments = inPages((cursor) => {
      const found = coordinator.attachments(page(cursor));
      assert.ok(found.ok);
      return found.value;
    });
    assert.equal(new Set(attachments.map(({ id }) => id)).size, 5);
    const one = coordinator.attachments({ ...page(), place: F });
    assert.ok(one.ok);
    assert.deepEqual(
      one.value.items.map(({ target }) => target),
      [F],
    );
    for (const attachable of [undefined, 'ftrace']) {
      const symbols = inPages((cursor) => {
        const found = coordinator.symbols({ ...page(cursor), match: 'tcp_*', ...(attachable ? { attachable } : {}) });
        assert.ok(found.ok);
        return found.value;
      });
      assert.equal(new Set(symbols.map(({ address }) => address)).size, symbols.length);
      assert.ok(symbols.some(({ name }) => name === F));
    }
    const sites = inPages((cursor) => {
      const found = coordinator.sites({ ...page(cursor), state: 'patched' });
      assert.ok(found.ok);
      return found.value;
    });
    // Five functions and the two shared callers.
    assert.equal(sites.length, 7);
  });
});

/** image/ reads a kernel's data, and has the test. */
const BY_IMAGE = ['call.image.changed'];

/** Rules that refuse here and not in the registry. */
const CASES: Readonly<Record<string, (coordinator: Coordinator) => Promise<{ readonly rule: string } | undefined>>> = {
  'call.argument.invalid': async (c) => faultOf(await c.call(ME, { function: F, args: ['two'] })),
  'call.sample.no-prototype': async (c) =>
    faultOf(await c.call(ME, { function: 'ftrace_stub', args: [], sample: true })),
  'fault.not-enabled': async (coordinator) => faultOf(coordinator.injectFault(ME, { name: 'dropped-ipi' })),
  'place.unknown': async (coordinator) => faultOf(coordinator.site('tcp_set_stat')),
  'symbol.ambiguous': async (coordinator) => faultOf(coordinator.symbol('s_show')),
  'attachment.not-yours': async (coordinator) => {
    const { id } = await attached(coordinator, 'kprobe');
    return faultOf(await coordinator.detach(caller('you', { tenant: 'other' }), id));
  },
  'precondition.site-revision': async (coordinator) =>
    faultOf(await coordinator.attach(ME, { kind: 'kprobe', target: F }, { ifMatch: 7 })),
  'sessions.unknown': async (coordinator) => faultOf(await coordinator.endSession(ME, 'nobody')),
  'list.cursor.invalid': async (coordinator) => faultOf(coordinator.attachments({ limit: 1, cursor: 'x' })),
  'text-mutex.aborted': async (coordinator) =>
    faultOf(
      await coordinator.attach(caller('gone', { signal: AbortSignal.abort() }), { kind: 'kprobe', target: F }, {}),
    ),
  'text-mutex.queue-full': async (coordinator) => {
    const asked = Array.from({ length: 1_100 }, () =>
      coordinator.attach(ME, { kind: 'kprobe', target: 'nothing' }, {}),
    );
    const answers = await Promise.all(asked);
    return answers.map((answer) => faultOf(answer)).find((fault) => fault?.rule === 'text-mutex.queue-full');
  },
};

/** Their threads are real, so they are tried over HTTP: test/integration/programs.test.ts. */
const BY_RUNNING = ['program.runs-busy'];

/** Its thread is real as well: verifications.test.ts. */
const BY_VERIFYING = ['program.verifications-busy'];

/** Theirs, too: test/coordinator/explorations.test.ts. */
const BY_EXPLORING = ['no-trace', 'not-yours', 'scenario.invalid', 'unknown'].map((name) => `exploration.${name}`);
/** Of workloads; tried in test/integration/workload.test.ts. */
const BY_WORKLOADS = ['workload.unknown', 'workload.not-yours'];

/** They need a service that injects faults: faults/faults.test.ts. */
const BY_INJECTING = FAULT_RULES.map(({ id }) => id).filter((id) => id !== 'fault.not-enabled');

/** No caller of the coordinator gives a deadline yet, and none works inside another's turn; textpoke's tests have these. */
const BY_TEXTPOKE = ['text-mutex.deadline', 'text-mutex.reentered'];

const faultOf = (answer: { readonly ok: boolean; readonly fault?: { readonly rule: string } }) => answer.fault;

describe('refusals of the coordinator', () => {
  for (const [id, refuse] of Object.entries(CASES))
    it(id, async () => {
      const coordinator = await start();
      const fault = await refuse(coordinator);
      assert.equal(fault?.rule, id);
      assert.ok(coordinator.rule(id) !== undefined);
      assert.deepEqual(coordinator.audit().orphans, []);
      assert.equal(coordinator.textMutex().holder, null);
    });

  it('are all of its rules', () => {
    const own = Object.keys(CASES).filter((id) => !RULES.has(id));
    // Those about images, profiles, journals and the past refuse before there is a coordinator, quotas where there are some; their tests are beside them.
    const rules = [...COORDINATOR_RULES.keys()].filter((id) => !/^(image|profile|journal|quota|history)\./.test(id));
    assert.deepEqual(
      [
        ...own,
        ...BY_TEXTPOKE,
        ...BY_IMAGE,
        ...BY_RUNNING,
        ...BY_VERIFYING,
        ...BY_EXPLORING,
        ...BY_WORKLOADS,
        ...BY_INJECTING,
      ].sort(),
      rules.sort(),
    );
  });

  it('become problems with everything a reader needs', async () => {
    const coordinator = await start();
    await attached(coordinator, 'kprobe', F, { postHandler: true }, caller('holder'));
    const refused = await coordinator.attach(ME, { kind: 'ftrace', target: F, options: { ipmodify: true } }, {});
    assert.ok(!refused.ok);
    const problem = coordinator.problem(refused.fault);
    assert.deepEqual(
      [problem.type, problem.errno, problem.place, problem.holders[0]?.client, problem.kernel, problem.strictness],
      ['/v1/rules/ftrace.ipmodify.exclusive', 'EBUSY', `${F}+0x4`, 'holder', '6.12', 'safe'],
    );
    assert.ok(problem.remedies.length > 0);
  });
});

describe('the same history', () => {
  it('gives the same bytes, ids and events', async () => {
    const image = await builtinImage();
    const play = async (): Promise<string> => {
      const coordinator = createCoordinator({
        image,
        strictness: 'safe',
        clock: new ManualClock(),
        prng: seededPrng(5),
      });
      const first = await attached(coordinator, 'fentry');
      await attached(coordinator, 'ftrace', { pattern: 'tcp_*' });
      await coordinator.detach(ME, first.id);
      await attached(coordinator, 'kprobe', 'vfs_read+9');
      const text = coordinator.text('_text', 16_384);
      return JSON.stringify([text, coordinator.eventsAfter(0, 1_000)]);
    };
    assert.equal(await play(), await play());
  });
});
