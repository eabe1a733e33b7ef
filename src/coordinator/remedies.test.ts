import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller, testCoordinator } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import type { AttachRequest, Coordinator, Strictness } from './index.ts';

const F = 'tcp_set_state';
const ME = caller('me');
const OTHER = caller('probe-agent', { tenant: 'other' });

const fresh = async (strictness: Strictness = 'safe'): Promise<Coordinator> =>
  testCoordinator(await builtinImage(), strictness);

async function there(coordinator: Coordinator, request: AttachRequest, who = ME): Promise<string> {
  const done = await coordinator.attach(who, request, {});
  assert.ok(done.ok, JSON.stringify(done));
  return done.value.id;
}

async function remedies(coordinator: Coordinator, request: AttachRequest): Promise<readonly string[]> {
  const done = await coordinator.attach(ME, request, {});
  assert.ok(!done.ok);
  const { remedies: found } = coordinator.problem(done.fault);
  const plan = coordinator.plan(ME, [{ attach: request }]);
  assert.ok(plan.ok);
  assert.deepEqual(plan.value.steps[0]?.problem?.remedies, found, 'a plan says the same');
  return found;
}

const post: AttachRequest = { kind: 'kprobe', target: F, options: { postHandler: true } };

describe('remedies', () => {
  it('name the holder to detach, what to change, and the other order, when each was tried', async () => {
    const coordinator = await fresh();
    const id = await there(coordinator, { kind: 'kprobe', target: F });
    assert.deepEqual(await remedies(coordinator, post), [
      'Attach without postHandler; then this is granted.',
      `Detach ${id} (kprobe of me); then this is granted.`,
      `Detach ${id} (kprobe of me), attach this, and attach what was there again; in this order all are granted.`,
    ]);
  });

  it('leave out what does not work: two plain kprobes have to go together', async () => {
    const coordinator = await fresh();
    const first = await there(coordinator, { kind: 'kprobe', target: F });
    const second = await there(coordinator, { kind: 'kretprobe', target: F });
    const found = await remedies(coordinator, post);
    assert.ok(found.includes(`Detach ${first} (kprobe of me) and ${second} (kretprobe of me); then this is granted.`));
    assert.ok(!found.some((each) => each.startsWith(`Detach ${first} (kprobe of me);`)));
  });

  it('offer a change to the one who is there', async () => {
    const coordinator = await fresh();
    const id = await there(coordinator, { kind: 'ftrace_direct', target: F });
    const found = await remedies(coordinator, { kind: 'ftrace', target: F, options: { ipmodify: true } });
    assert.deepEqual(found, [
      'Attach without ipmodify; then this is granted.',
      `Detach ${id} (ftrace_direct of me); then this is granted.`,
      `Attach ${id} (ftrace_direct of me) again with sharesIpmodify: true; then both are granted.`,
    ]);
  });

  it('leave what belongs to another tenant to its owner', async () => {
    const coordinator = await fresh();
    const id = await there(coordinator, { kind: 'livepatch', target: F }, OTHER);
    assert.deepEqual(await remedies(coordinator, { kind: 'ftrace_direct', target: F }), [
      'Attach with sharesIpmodify: true; then this is granted.',
      'Attach as fentry; then this is granted.',
      'Attach as an ftrace ops; then this is granted.',
      `Ask probe-agent to detach ${id} (livepatch of probe-agent); then this is granted.`,
    ]);
  });

  it('are what then works', async () => {
    const coordinator = await fresh();
    const id = await there(coordinator, { kind: 'fentry', target: F });
    const request: AttachRequest = { kind: 'fentry', target: F, options: { layout: 'seed' } };
    const found = await remedies(coordinator, request);
    assert.ok(found.includes(`Detach ${id} (fentry of me); then this is granted.`));
    assert.ok(found.includes('Attach with layout: "linux"; then this is granted.'));
    assert.ok((await coordinator.detach(ME, id)).ok);
    assert.ok((await coordinator.attach(ME, request, {})).ok);
  });

  it('speak of steps in a plan', async () => {
    const coordinator = await fresh();
    const plan = coordinator.plan(ME, [{ attach: { kind: 'kprobe', target: F } }, { client: 'you', attach: post }]);
    assert.ok(plan.ok);
    assert.deepEqual(plan.value.steps[1]?.problem?.remedies, [
      'Attach without postHandler; then this is granted.',
      'Leave out step 0 (kprobe of me); then this is granted.',
      'Put this step before step 0 (kprobe of me); then all of them are granted.',
    ]);
  });

  it('are the general ones of the rule where nobody stands in the way', async () => {
    const coordinator = await fresh();
    const found = await remedies(coordinator, { kind: 'kprobe', target: 'get_kprobe' });
    assert.deepEqual(found, coordinator.rule('kprobe.address.blacklisted')?.remedies);
  });

  it('are none where trying would cost too much, and trying changes nothing', async () => {
    const coordinator = await fresh();
    const many = [...(await builtinImage()).symbols.matching('*')]
      .map(({ name }) => name)
      .filter((name) => {
        const symbol = coordinator.symbol(name);
        return symbol.ok && symbol.value.attachable.ftrace;
      });
    await there(coordinator, { kind: 'livepatch', target: F });
    const places = Array.from({ length: 101 }, (_, i) => many[i % many.length] as string);
    const before = JSON.stringify([coordinator.audit().differing, coordinator.attachments({ limit: 100 })]);
    assert.deepEqual(
      await remedies(coordinator, { kind: 'ftrace', target: [...places, F], options: { ipmodify: true } }),
      [],
    );
    await remedies(coordinator, post);
    assert.equal(JSON.stringify([coordinator.audit().differing, coordinator.attachments({ limit: 100 })]), before);
  });

  it('stop at a bound in a plan of many refusals, and say so', async () => {
    const coordinator = await fresh();
    await there(coordinator, { kind: 'livepatch', target: F });
    const plan = coordinator.plan(
      ME,
      Array.from({ length: 300 }, () => ({ attach: post })),
    );
    assert.ok(plan.ok);
    const last = plan.value.steps.at(-1);
    assert.deepEqual(last?.problem?.remedies, []);
    assert.match(last?.warnings.join() ?? '', /not tried/);
    assert.ok((plan.value.steps[0]?.problem?.remedies.length ?? 0) > 0);
  });
});
