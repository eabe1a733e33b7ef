/** What a site calls, for each combination of ops. Source: kernel/trace/ftrace.c ftrace_get_addr_new (6.12). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';

const F = 'tcp_set_state';
const NOP5 = '0f1f440000';

const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'safe');

type Short = 'plain' | 'regs' | 'direct' | 'fentry' | 'kprobe';

function enter(registry: RegistryLab, short: Short, target = F): string {
  switch (short) {
    case 'plain':
      return registry.attach('ftrace', target).id;
    case 'regs':
      return registry.attach('ftrace', target, { saveRegs: true }).id;
    case 'direct':
      return registry.attach('ftrace_direct', target).id;
    case 'fentry':
      return registry.attach('fentry', target).id;
    case 'kprobe':
      return registry.attach('kprobe', target).id;
  }
}

/** The site's callee: a symbol, or what the generated code there is. */
function called(registry: RegistryLab, target = F): string {
  const site = registry.at(target, 4);
  if (registry.hex(site, 5) === NOP5) return 'nop';
  assert.equal(registry.hex(site, 1), 'e8');
  const callee = registry.callee(site);
  const generated = registry.state.arena.allocations.get(callee);
  return generated?.what.replace(/^bpf_trampoline_.*/, 'bpf_trampoline') ?? registry.view().place(callee);
}

const mechanism = (registry: RegistryLab): string => registry.site(registry.at(F, 4)).mechanism;

/** Who enters, in this order → what the site calls then. */
const TABLE: readonly (readonly [readonly Short[], string, string])[] = [
  [[], 'nop', 'none'],
  [['plain'], 'ftrace_trampoline', 'ftrace-trampoline'],
  [['regs'], 'ftrace_trampoline', 'ftrace-trampoline'],
  [['kprobe'], 'ftrace_trampoline', 'ftrace-trampoline'],
  [['direct'], 'ftrace_direct', 'ftrace-direct'],
  [['fentry'], 'bpf_trampoline', 'ftrace-direct'],
  [['fentry', 'fentry'], 'bpf_trampoline', 'ftrace-direct'],
  [['kprobe', 'kprobe'], 'ftrace_trampoline', 'ftrace-trampoline'],
  [['plain', 'plain'], 'ftrace_caller', 'ftrace-list'],
  [['plain', 'regs'], 'ftrace_regs_caller', 'ftrace-regs-list'],
  [['regs', 'plain'], 'ftrace_regs_caller', 'ftrace-regs-list'],
  [['plain', 'plain', 'kprobe'], 'ftrace_regs_caller', 'ftrace-regs-list'],
  [['direct', 'plain'], 'ftrace_regs_caller', 'ftrace-regs-list'],
  [['plain', 'direct'], 'ftrace_regs_caller', 'ftrace-regs-list'],
  [['plain', 'fentry'], 'ftrace_regs_caller', 'ftrace-regs-list'],
  [['fentry', 'kprobe', 'plain'], 'ftrace_regs_caller', 'ftrace-regs-list'],
];

describe('what a site calls', () => {
  for (const [kinds, callee, how] of TABLE)
    it(`${kinds.join(', ') || 'nobody'}: ${callee}`, async () => {
      const registry = await lab();
      const ids = kinds.map((kind) => enter(registry, kind));
      assert.deepEqual([called(registry), mechanism(registry)], [callee, how]);
      assert.deepEqual(registry.orphans(), []);
      for (const id of ids) registry.detach(id);
      assert.equal(called(registry), 'nop');
      assert.equal(registry.state.arena.allocations.size, 0, 'generated code stayed');
    });

  it('goes back to the private trampoline, and to the direct call, when one is left', async () => {
    const registry = await lab();
    const plain = enter(registry, 'plain');
    const direct = enter(registry, 'direct');
    registry.detach(plain);
    assert.equal(called(registry), 'ftrace_direct');
    const again = enter(registry, 'plain');
    registry.detach(direct);
    assert.equal(called(registry), 'ftrace_trampoline');
    const own = registry.state.ops.get(again)?.trampoline;
    assert.equal(registry.callee(registry.at(F, 4)), own, 'its own, not somebody else’s');
  });

  it('wants registers until the last that asked has left', async () => {
    const registry = await lab();
    enter(registry, 'plain');
    const one = enter(registry, 'regs');
    const two = enter(registry, 'regs');
    enter(registry, 'plain');
    registry.detach(one);
    assert.equal(called(registry), 'ftrace_regs_caller');
    registry.detach(two);
    assert.equal(called(registry), 'ftrace_caller');
  });

  it('is the same private trampoline for all kprobes: they are one ops', async () => {
    const registry = await lab();
    enter(registry, 'kprobe');
    enter(registry, 'kprobe', 'vfs_read');
    const [one, two] = [F, 'vfs_read'].map((name) => registry.callee(registry.at(name, 4)));
    assert.equal(one, two);
    assert.equal(registry.state.arena.allocations.get(one as number)?.what, 'ftrace_trampoline');
  });

  it('survives an ops on many sites leaving only some of them to others', async () => {
    const registry = await lab();
    const many = registry.attach('ftrace', [F, 'vfs_read', 'do_mmap']).id;
    enter(registry, 'fentry', 'vfs_read');
    assert.deepEqual(
      [F, 'vfs_read', 'do_mmap'].map((name) => called(registry, name)),
      ['ftrace_trampoline', 'ftrace_regs_caller', 'ftrace_trampoline'],
    );
    registry.detach(many);
    assert.deepEqual(
      [F, 'vfs_read', 'do_mmap'].map((name) => called(registry, name)),
      ['nop', 'bpf_trampoline', 'nop'],
    );
  });
});

describe('a private trampoline', () => {
  it('calls its ops’ callback, or the assist function when the ops does not guard itself', async () => {
    for (const recursion of [false, true]) {
      const registry = await lab();
      const { id, owned } = registry.attach('ftrace', F, { recursion });
      const trampoline = registry.state.ops.get(id)?.trampoline as number;
      const callee = registry.callee(trampoline + registry.at('ftrace_call') - registry.at('ftrace_caller'));
      assert.equal(callee, recursion ? registry.at('ftrace_ops_assist_func') : owned[0]);
    }
  });
});

describe('the shared callers', () => {
  const callees = (registry: RegistryLab): readonly string[] =>
    ['ftrace_call', 'ftrace_regs_call'].map((name) => registry.view().place(registry.callee(registry.at(name))));
  const both = (name: string): readonly string[] => [name, name];

  it('call the stub, the only ops that is in core kernel data, or the list', async () => {
    const registry = await lab();
    assert.deepEqual(callees(registry), both('ftrace_stub'));
    const probe = enter(registry, 'kprobe');
    assert.deepEqual(callees(registry), both('kprobe_ftrace_handler'));
    const plain = enter(registry, 'plain', 'vfs_read');
    assert.deepEqual(callees(registry), both('arch_ftrace_ops_list_func'));
    registry.detach(plain);
    assert.deepEqual(callees(registry), both('kprobe_ftrace_handler'));
    registry.detach(probe);
    assert.deepEqual(callees(registry), both('ftrace_stub'));
    enter(registry, 'plain');
    assert.deepEqual(callees(registry), both('arch_ftrace_ops_list_func'), 'a module’s ops is never called directly');
  });
});
