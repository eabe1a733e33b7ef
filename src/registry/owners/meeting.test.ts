/** Who may meet whom at a function entry, in both orders; and in which order those that met run. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { AttachRequest, Strictness } from '../model/request.ts';

const F = 'tcp_set_state';

const KINDS = {
  ops: ['ftrace', {}],
  kprobe: ['kprobe', {}],
  kretprobe: ['kretprobe', {}],
  'kprobe with post_handler': ['kprobe', { postHandler: true }],
  IPMODIFY: ['ftrace', { ipmodify: true, saveRegs: true }],
  direct: ['ftrace_direct', {}],
  'sharing direct': ['ftrace_direct', { sharesIpmodify: true }],
  fentry: ['fentry', {}],
  livepatch: ['livepatch', {}],
  fexit: ['fexit', {}],
} as const satisfies Readonly<Record<string, readonly [AttachRequest['kind'], Readonly<Record<string, unknown>>]>>;
type Name = keyof typeof KINDS;
const NAMES = Object.keys(KINDS) as readonly Name[];

const EXCLUSIVE = 'ftrace.ipmodify.exclusive';
const NOT_SHARING = 'ftrace.direct.not-sharing';
const ONE_DIRECT = 'ftrace.direct.exclusive';
const MIX = 'kprobe.ftrace.post-handler-mix';

/** Rows: who is there; columns in the order of KINDS: who comes. `+` chained, `=` shared, else the rule that refuses. */
const MATRIX: Readonly<Record<Name, readonly string[]>> = {
  ops: ['+', '+', '+', '+', '+', '+', '+', '+', '+', '+'],
  kprobe: ['+', '+', '+', MIX, '+', '+', '+', '+', '+', '+'],
  kretprobe: ['+', '+', '+', MIX, '+', '+', '+', '+', '+', '+'],
  'kprobe with post_handler': ['+', '+', '+', '+', EXCLUSIVE, NOT_SHARING, '=', '=', EXCLUSIVE, '='],
  IPMODIFY: ['+', '+', '+', EXCLUSIVE, EXCLUSIVE, NOT_SHARING, '=', '=', EXCLUSIVE, '='],
  direct: ['+', '+', '+', NOT_SHARING, NOT_SHARING, ONE_DIRECT, ONE_DIRECT, ONE_DIRECT, NOT_SHARING, ONE_DIRECT],
  'sharing direct': ['+', '+', '+', '=', '=', ONE_DIRECT, ONE_DIRECT, ONE_DIRECT, '=', ONE_DIRECT],
  fentry: ['+', '+', '+', '=', '=', ONE_DIRECT, ONE_DIRECT, '+', '=', '+'],
  livepatch: ['+', '+', '+', EXCLUSIVE, EXCLUSIVE, NOT_SHARING, '=', '=', '+', '='],
  fexit: ['+', '+', '+', '=', '=', ONE_DIRECT, ONE_DIRECT, '+', '=', '+'],
};

const lab = async (strictness: Strictness = 'safe'): Promise<RegistryLab> =>
  new RegistryLab(await builtinImage(), strictness);

const enter = (registry: RegistryLab, name: Name) => registry.attach(KINDS[name][0], F, KINDS[name][1]);

describe('at one function entry', () => {
  for (const there of NAMES)
    for (const [index, comes] of NAMES.entries()) {
      const expected = MATRIX[there][index] as string;
      const isGranted = expected === '+' || expected === '=';
      it(`${there}, then ${comes}: ${expected === '+' ? 'chained' : expected === '=' ? 'shared' : expected}`, async () => {
        const registry = await lab();
        const site = registry.at(F, 4);
        const pristine = registry.hex(site, 5);
        const first = enter(registry, there);
        if (!isGranted) {
          const before = [registry.hex(site, 5), JSON.stringify(registry.site(site))];
          const state = registry.state;
          const fault = registry.refused(KINDS[comes][0], F, KINDS[comes][1]);
          assert.deepEqual([fault.rule, fault.errno], [expected, 'EBUSY']);
          assert.deepEqual(
            fault.holders?.map(({ attachment }) => attachment),
            [first.id],
          );
          assert.equal(registry.state, state, 'a refusal leaves the very same state');
          assert.deepEqual([registry.hex(site, 5), JSON.stringify(registry.site(site))], before);
          return;
        }
        const second = enter(registry, comes);
        assert.equal(second.verdict, expected === '=' ? 'shared' : 'chained');
        assert.deepEqual([...registry.site(site).chain].sort(), [first.id, second.id].sort());
        for (const id of [first.id, second.id]) {
          registry.detach(id);
          assert.deepEqual(registry.orphans(), []);
        }
        assert.equal(registry.hex(site, 5), pristine);
      });
    }

  it('a kprobe with a post_handler comes second in linux strictness, and Linux never restores the site', async () => {
    const registry = await lab('linux');
    const site = registry.at(F, 4);
    const first = enter(registry, 'kprobe');
    const second = enter(registry, 'kprobe with post_handler');
    assert.match(second.warnings.join(), /kprobe\.ftrace\.post-handler-mix/);
    // IPMODIFY was not claimed, so somebody else gets it.
    const claim = enter(registry, 'IPMODIFY');
    registry.detach(claim.id);
    registry.detach(first.id);
    const left = registry.detach(second.id);
    assert.match(left.warnings.join(), /stays patched/);
    assert.equal(registry.hex(site, 1), 'e8');
    assert.deepEqual(registry.orphans(), [], 'even so it is known why');
    assert.equal(registry.state.attachments.size, 0);
  });

  it('claims end with their owner', async () => {
    const registry = await lab();
    const holder = enter(registry, 'kprobe with post_handler');
    registry.refused('ftrace', F, { ipmodify: true });
    registry.detach(holder.id);
    const next = enter(registry, 'IPMODIFY');
    registry.detach(next.id);
    const direct = enter(registry, 'direct');
    registry.refused('fentry', F);
    registry.detach(direct.id);
    enter(registry, 'fentry');
  });

  it('a request for several sites is refused whole, and says which of them', async () => {
    const registry = await lab();
    enter(registry, 'IPMODIFY');
    const state = registry.state;
    const fault = registry.refused('ftrace', ['vfs_read', F, 'do_mmap'], { ipmodify: true });
    assert.deepEqual([fault.rule, fault.index], [EXCLUSIVE, 1]);
    assert.equal(registry.state, state);
    assert.equal(registry.hex(registry.at('vfs_read', 4), 5), '0f1f440000');
  });
});

describe('the chain', () => {
  it('runs ftrace owners newest first and the direct call last, BPF programs newest first', async () => {
    const registry = await lab();
    const site = registry.at(F, 4);
    const enterAs = (name: Name): string => enter(registry, name).id;
    const fentry1 = enterAs('fentry');
    const ops1 = enterAs('ops');
    const probe1 = enterAs('kprobe');
    const ops2 = enterAs('ops');
    const fentry2 = enterAs('fentry');
    const probe2 = enterAs('kprobe');
    assert.deepEqual(registry.site(site).chain, [ops2, probe2, probe1, ops1, fentry2, fentry1]);
  });

  it('has all kprobes where the first of them put their ops, wherever that was', async () => {
    const registry = await lab();
    registry.attach('kprobe', 'vfs_read');
    const ops = enter(registry, 'ops').id;
    const probe = enter(registry, 'kprobe').id;
    assert.deepEqual(registry.site(registry.at(F, 4)).chain, [ops, probe]);
  });

  it('says what is left at the site', async () => {
    const registry = await lab();
    const site = registry.at(F, 4);
    assert.deepEqual(registry.site(site).budget, { ipmodify: 1, direct: 1, bpfPrograms: 38 });
    enter(registry, 'kprobe with post_handler');
    enter(registry, 'fentry');
    enter(registry, 'fentry');
    assert.deepEqual(registry.site(site).budget, { ipmodify: 0, direct: 0, bpfPrograms: 36 });
  });

  it('moves the revision of a site with each owner that comes or goes', async () => {
    const registry = await lab();
    const site = registry.at(F, 4);
    const revisions = [registry.site(site).revision];
    const first = enter(registry, 'kprobe');
    revisions.push(registry.site(site).revision);
    // An aggregate: no byte changes, the owners do.
    const second = enter(registry, 'kprobe');
    revisions.push(registry.site(site).revision);
    registry.detach(first.id);
    revisions.push(registry.site(site).revision);
    registry.detach(second.id);
    revisions.push(registry.site(site).revision);
    assert.deepEqual(revisions, [0, 1, 2, 3, 4]);
  });
});

describe('a livepatch of two functions', () => {
  for (const [first, second] of [
    [F, 'vfs_read'],
    ['vfs_read', F],
  ] as const)
    it(`is replaced in both, ${first} being the one that is patched again`, async () => {
      const registry = await lab();
      const old = registry.attach('livepatch', [second, first]);
      const next = registry.attach('livepatch', [first], { replace: true });
      assert.equal(registry.state.attachments.has(old.id), false);
      assert.deepEqual(registry.site(registry.at(first, 4)).chain, [next.id]);
      assert.equal(registry.hex(registry.at(second, 4), 5), '0f1f440000');
      registry.detach(next.id);
      assert.equal(registry.hex(registry.at(first, 4), 5), '0f1f440000');
      assert.equal(registry.state.arena.allocations.size, 0);
    });
});
