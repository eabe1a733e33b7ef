/** Modules that come and go, and what becomes of who was attached. Source: the functions that each file of this folder names (6.12). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { labModule } from '../../../test/support/modules.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { Strictness } from '../model/request.ts';
import { kernelView } from '../views/views.ts';

const KO = labModule();
const NOP5 = '0f1f440000';

const fresh = async (strictness: Strictness = 'safe'): Promise<RegistryLab> =>
  new RegistryLab(await builtinImage(), strictness);

async function withLab(until: 'coming' | 'live' = 'live'): Promise<RegistryLab> {
  const lab = await fresh();
  assert.equal(lab.loadModule(KO, until).outcome.kind, 'granted');
  return lab;
}

const unload = (lab: RegistryLab): void => assert.equal(lab.stepModule('lab', 'gone').outcome.kind, 'granted');

function view(lab: RegistryLab, name: string): readonly string[] {
  const text = kernelView(lab.view(), name);
  assert.ok(text.ok);
  return text.value.split('\n').filter((line) => line !== '');
}

/** Nothing of the module and of its owners is left in text. */
function clean(lab: RegistryLab): void {
  assert.deepEqual(lab.orphans(), []);
  assert.equal(lab.state.modules.length, 0);
  assert.equal(lab.state.arena.allocations.size, 0, 'generated code stayed');
  for (let at = 0x4f00_0000; at < 0x4f01_0000; at += 64) assert.equal(lab.text.u8(at), 0xcc, 'text stayed');
}

describe('a module', () => {
  it('brings symbols, sites and prototypes, and takes them with it', async () => {
    const lab = await withLab();
    assert.ok(view(lab, 'tracing/available_filter_functions').includes('lab_t1 [lab]'));
    assert.equal(lab.world.image.btf?.prototype('lab_t2')?.text, 'long lab_t2(long a, void *p)');
    const at = lab.at('lab_t1');
    unload(lab);
    assert.equal(lab.world.image.symbols.offsetOf('lab_t1'), undefined);
    assert.equal(lab.world.image.symbols.containing(at), undefined);
    assert.ok(!view(lab, 'tracing/available_filter_functions').some((line) => line.includes('[lab]')));
    clean(lab);
  });

  it('lies at the same addresses when it is loaded again', async () => {
    const lab = await withLab();
    const before = lab.at('lab_t1');
    unload(lab);
    lab.loadModule(KO);
    assert.equal(lab.at('lab_t1'), before);
  });

  it('is where its text says: every ftrace site is a NOP, its returns and ENDBRs are patched', async () => {
    const lab = await withLab();
    const sites = lab.world.ftraceSites.filter((site) => site >= 0x4f00_0000);
    assert.ok(sites.length > 20);
    for (const site of sites) assert.equal(lab.hex(site, 5), NOP5);
    assert.equal(lab.hex(lab.at('lab_t1'), 4), '660f1f00', 'sealed');
    assert.equal(lab.hex(lab.at('lab_notrace'), 4), '660f1f00');
  });

  it('takes every kind of owner, and its text is as it was when they have left', async () => {
    const lab = await withLab();
    const image = lab.state.modules[0]?.image;
    assert.ok(image !== undefined);
    const attached = [
      lab.attach('kprobe', 'lab_t1'),
      lab.attach('kprobe', 'lab_t1+0x10'),
      lab.attach('kretprobe', 'lab:lab_t2'),
      lab.attach('fentry', 'lab_t1'),
      lab.attach('fexit', 'lab:lab_t1'),
      lab.attach('ftrace', ['lab_t1', 'lab_t3', 'tcp_set_state']),
      lab.attach('ftrace', { pattern: 'lab_*' }, { tracer: 'function' }),
      lab.attach('fprobe', { pattern: 'lab_t?' }),
      lab.attach('livepatch', 'lab:lab_t6'),
      lab.attach('jump_label', 'lab:lab_key', { enabled: true }),
      lab.attach('static_call', 'lab_sc', { to: 'lab:lab_sc_second' }),
      lab.attach('kgdb', 'lab_t3+0x10'),
    ];
    assert.deepEqual(lab.orphans(), []);
    assert.equal(lab.stepModule('lab', 'gone').outcome.kind, 'refused', 'BPF, the key and the call keep it');
    for (const { id } of attached.reverse()) assert.equal(lab.detach(id).outcome.kind, 'granted');
    for (const range of image.pristine.ranges)
      assert.deepEqual(
        lab.text.bytes(range.start, range.length),
        lab.state.modules[0]?.image.pristine.bytes(range.start, range.length),
      );
    unload(lab);
    clean(lab);
  });

  it('follows static keys that others have switched before it came', async () => {
    const key = 'bpf_stats_enabled_key';
    const lab = await withLab();
    const before = lab.hex(lab.at('lab_jl', 0x1d), 2);
    lab.attach('jump_label', 'lab:lab_key', { enabled: true });
    assert.notEqual(lab.hex(lab.at('lab_jl', 0x1d), 2), before);
    lab.attach('jump_label', key, { enabled: true });
    assert.deepEqual(lab.orphans(), []);
  });
});

describe('init text', () => {
  it('can be probed while the module comes, and its probes are GONE once it is live', async () => {
    const lab = await withLab('coming');
    const entry = lab.attach('kprobe', 'lab_init');
    const body = lab.attach('kprobe', 'lab_init+0x9');
    const stays = lab.attach('kprobe', 'lab_t1');
    assert.equal(lab.stepModule('lab', 'live').outcome.kind, 'granted');
    const gone = view(lab, 'debug/kprobes/list').filter((line) => line.includes('[GONE]'));
    assert.equal(gone.length, 2, gone.join('\n'));
    assert.equal(lab.refused('kprobe', 'lab_init').errno, 'ENOENT', 'its symbols went with it');
    assert.equal(
      lab.refused('kprobe', lab.address(body.sites[0] ?? 0)).errno,
      'ENOENT',
      'and its address means nothing',
    );
    for (const { id } of [entry, body, stays]) lab.detach(id);
    unload(lab);
    clean(lab);
  });
});

describe('probes of a module that goes', () => {
  it('become GONE, stay registered, and are never enabled again', async () => {
    const lab = await withLab();
    const probes = [
      lab.attach('kprobe', 'lab_t1'),
      lab.attach('kprobe', 'lab_t1+0x10'),
      lab.attach('kretprobe', 'lab_t2'),
    ];
    unload(lab);
    assert.deepEqual(
      view(lab, 'debug/kprobes/list')
        .map((line) => line.replace(/^\S+\s+(\S).*?(\[.*)$/, '$1 $2'))
        .sort(),
      ['k [GONE]', 'k [GONE][FTRACE]', 'r [GONE][FTRACE]'],
    );
    assert.deepEqual(lab.orphans(), []);
    for (const { id } of probes) assert.deepEqual(lab.state.attachments.get(id)?.sites, []);
    for (const { id } of probes) assert.equal(lab.detach(id).outcome.kind, 'granted');
    assert.equal(lab.state.kprobeTable.size, 0);
    clean(lab);
  });

  it('stay GONE beside a new one at the same address, which fires', async () => {
    const lab = await withLab();
    const old = lab.attach('kprobe', 'lab_t1+0x10');
    const oldEntry = lab.attach('kprobe', 'lab_t2');
    unload(lab);
    lab.loadModule(KO);
    const body = lab.attach('kprobe', 'lab_t1+0x10');
    const entry = lab.attach('kprobe', 'lab_t2');
    assert.equal(lab.hex(lab.at('lab_t1', 0x10), 1), 'cc');
    assert.equal(lab.hex(lab.at('lab_t2', 4), 1), 'e8');
    assert.deepEqual(
      view(lab, 'debug/kprobes/list').filter((line) => line.includes('[GONE]')).length,
      2,
      'the old ones',
    );
    assert.deepEqual(lab.orphans(), []);
    for (const { id } of [body, old, entry, oldEntry]) lab.detach(id);
    assert.equal(lab.hex(lab.at('lab_t2', 4), 5), NOP5);
    unload(lab);
    clean(lab);
  });

  it('are refused while it goes, and its text stays until it is gone', async () => {
    const lab = await withLab();
    lab.attach('kprobe', 'lab_t1+0x10');
    assert.equal(lab.stepModule('lab', 'going').outcome.kind, 'granted');
    assert.equal(lab.refused('kprobe', 'lab_t1').rule, 'kprobe.module.going');
    assert.equal(lab.hex(lab.at('lab_t1', 0x10), 1), 'cc', 'nobody takes the int3 back');
    unload(lab);
    assert.equal(lab.stepModule('lab', 'gone').outcome.kind, 'refused');
  });
});

describe('ftrace owners', () => {
  it('keep the address of a function that has gone, and take it up when the module is back', async () => {
    const lab = await withLab();
    const plain = lab.attach('ftrace', ['lab_t1', 'tcp_set_state']);
    const tracer = lab.attach('ftrace', ['lab_t2', 'tcp_set_state'], { tracer: 'function' });
    unload(lab);
    assert.deepEqual(lab.orphans(), []);
    lab.loadModule(KO);
    assert.equal(lab.hex(lab.at('lab_t1', 4), 1), 'e8', 'an ops keeps its hash');
    assert.equal(lab.hex(lab.at('lab_t2', 4), 5), NOP5, 'clear_mod_from_hashes');
    assert.deepEqual(lab.orphans(), []);
    lab.detach(plain.id);
    lab.detach(tracer.id);
    assert.equal(lab.hex(lab.at('lab_t1', 4), 5), NOP5);
    unload(lab);
    clean(lab);
  });

  it('that claim IPMODIFY or call directly never take a new module’s site', async () => {
    const lab = await withLab();
    const claims = lab.attach('ftrace', 'lab_t1', { saveRegs: true, ipmodify: true });
    const direct = lab.attach('ftrace_direct', 'lab_t2');
    unload(lab);
    const { warnings } = lab.loadModule(KO);
    assert.equal(warnings.length, 2, warnings.join('\n'));
    for (const name of ['lab_t1', 'lab_t2']) assert.equal(lab.hex(lab.at(name, 4), 5), NOP5);
    lab.detach(claims.id);
    lab.detach(direct.id);
    unload(lab);
    clean(lab);
  });

  it('that claim IPMODIFY take ftrace with them in Linux when they leave after that', async () => {
    const lab = await fresh('linux');
    lab.loadModule(KO);
    const claims = lab.attach('ftrace', 'lab_t1', { saveRegs: true, ipmodify: true });
    unload(lab);
    lab.loadModule(KO);
    const { warnings } = lab.detach(claims.id);
    assert.match(warnings.join(), /shut itself down/);
    assert.equal(lab.refused('ftrace', 'tcp_set_state').rule, 'ftrace.disabled');
  });

  it('a tracer of everything traces a new module, and nothing else with a pattern does', async () => {
    const lab = await fresh();
    const all = lab.attach('ftrace', { pattern: '*' }, { tracer: 'function' });
    const graph = lab.attach('ftrace', { pattern: '*' }, { tracer: 'function_graph' });
    const some = lab.attach('ftrace', { pattern: '*_*' });
    lab.loadModule(KO);
    assert.equal(lab.view().record(lab.at('lab_t1', 4)).count, 2);
    assert.deepEqual(lab.orphans(), []);
    unload(lab);
    for (const { id } of [graph, some, all]) assert.equal(lab.detach(id).outcome.kind, 'granted');
    clean(lab);
  });
});

describe('livepatches of a module', () => {
  it('are applied when it comes and let go when it goes; the patch stays', async () => {
    const lab = await fresh();
    const patch = lab.attach('livepatch', ['lab:lab_t1', 'tcp_set_state'], { patch: 'fix' });
    assert.equal(patch.sites.length, 1, 'the module is not there');
    lab.loadModule(KO);
    assert.equal(lab.hex(lab.at('lab_t1', 4), 1), 'e8');
    assert.equal(lab.state.attachments.get(patch.id)?.sites.length, 2);
    unload(lab);
    assert.equal(lab.state.attachments.get(patch.id)?.sites.length, 1);
    lab.loadModule(KO);
    assert.equal(lab.hex(lab.at('lab_t1', 4), 1), 'e8');
    assert.equal(lab.detach(patch.id).outcome.kind, 'granted');
    assert.equal(lab.hex(lab.at('lab_t1', 4), 5), NOP5);
    unload(lab);
    clean(lab);
  });

  it('of the kernel do not mean a function of a module', async () => {
    const lab = await withLab();
    assert.equal(lab.refused('livepatch', 'lab_t1').rule, 'livepatch.function.no-site');
  });
});

describe('names', () => {
  it('of a module are found with and without it; another module’s are not', async () => {
    const lab = await withLab();
    assert.equal(lab.attach('kprobe', 'lab:lab_t1').sites[0], lab.at('lab_t1', 4));
    assert.equal(lab.refused('kprobe', 'other:lab_t1').rule, 'kprobe.address.unknown');
    assert.equal(lab.refused('kprobe', 'lab:tcp_set_state').rule, 'kprobe.address.unknown');
    assert.equal(lab.refused('kprobe', 'vmlinux:lab_t1').rule, 'kprobe.address.unknown');
    assert.equal(lab.attach('kprobe', 'vmlinux:tcp_set_state').sites.length, 1);
    assert.equal(lab.refused('fentry', 'lab:lab_notrace').errno, 'EINVAL', 'recorded: EBUSY in vmlinux, EINVAL here');
    assert.equal(lab.refused('kprobe', 'lab_nokp').rule, 'kprobe.address.blacklisted');
    assert.equal(lab.refused('kprobe', 'lab_noinstr').rule, 'kprobe.address.blacklisted');
  });
});
