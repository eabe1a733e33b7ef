/** The kernel's own listings, to the byte. Source: kernel/trace/ftrace.c t_show, kernel/kprobes.c report_probe (6.12, 6.1). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { KernelImage } from '../../image/index.ts';
import { kernelView, VIEW_NAMES } from './views.ts';

const F = 'tcp_set_state';
const as6_1 = (image: KernelImage): KernelImage => ({ ...image, version: { major: 6, minor: 1, patch: 0 } });

const newLab = async (strictness: 'safe' | 'linux' = 'safe'): Promise<RegistryLab> =>
  new RegistryLab(await builtinImage(), strictness);

function read(lab: RegistryLab, name: string): string {
  const view = kernelView(lab.view(), name);
  assert.ok(view.ok, name);
  return view.value;
}

const enabled = (lab: RegistryLab): string => read(lab, 'tracing/enabled_functions');
const probes = (lab: RegistryLab): string => read(lab, 'debug/kprobes/list');

/** `%pS` of a function's first byte. */
function symbol(lab: RegistryLab, name: string): string {
  const found = lab.world.image.symbols.byName(name)[0];
  assert.ok(found !== undefined, name);
  return `${name}+0x0/0x${found.size.toString(16)}`;
}

const callee = (lab: RegistryLab): string => lab.address(lab.callee(lab.at(F, 4)));

describe('enabled_functions', () => {
  it('is empty when nobody is attached', async () => {
    assert.equal(enabled(await newLab()), '');
  });

  it('shows the private trampoline of a single ops, and what it calls', async () => {
    const lab = await newLab();
    lab.attach('kprobe', F);
    const handler = symbol(lab, 'kprobe_ftrace_handler');
    assert.equal(enabled(lab), `${F} (1) R         \ttramp: ${callee(lab)} (${handler}) ->${handler}\n`);
  });

  it('shows I and M for an owner that may change ip, and a handler of ours as one of a module', async () => {
    const lab = await newLab();
    const { id } = lab.attach('ftrace', F, { ipmodify: true, saveRegs: true });
    const size = lab.state.arena.allocations.find((each) => each.what === 'ftrace_handler')?.bytes.length ?? 0;
    const handler = `ftrace_handler_${id}+0x0/0x${size.toString(16)} [ktextd]`;
    assert.equal(enabled(lab), `${F} (1) R I     M \ttramp: ${callee(lab)} (${handler}) ->${handler}\n`);
  });

  it('shows the list function for several ops', async () => {
    const lab = await newLab();
    lab.attach('ftrace', F);
    lab.attach('ftrace', F);
    assert.equal(enabled(lab), `${F} (2)            ->${symbol(lab, 'arch_ftrace_ops_list_func')}\n`);
  });

  it('shows a direct call of BPF by its key and size on a line of its own', async () => {
    const lab = await newLab();
    lab.attach('fentry', F);
    const id = lab.world.image.btf?.id(F);
    const image = [...lab.state.trampolines.values()][0]?.image;
    assert.ok(id !== undefined && image !== undefined);
    const key = (1n << 32n) | 0x8000_0000n | BigInt(id);
    assert.equal(
      enabled(lab),
      `${F} (1) R   D   M \ttramp: ${symbol(lab, 'ftrace_regs_caller')} (${symbol(lab, 'call_direct_funcs')})` +
        `\n\tdirect-->bpf_trampoline_${key}+0x0/0x${image.size.toString(16)}\n`,
    );
  });

  it('shows a direct call of anybody else by its address', async () => {
    const lab = await newLab();
    lab.attach('ftrace_direct', F);
    assert.equal(enabled(lab).split('\n')[1], `\tdirect-->${callee(lab)}`);
  });

  it('has neither O nor M on 6.1', async () => {
    const lab = new RegistryLab(as6_1(await builtinImage()), 'safe');
    lab.attach('ftrace_direct', F);
    assert.match(enabled(lab), /^tcp_set_state \(1\) R {3}D\ttramp: /);
  });

  it('goes by address', async () => {
    const lab = await newLab();
    lab.attach('ftrace', { pattern: '*' });
    const names = enabled(lab)
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ')[0]);
    const sites = [...lab.world.ftraceSites].map((at) => lab.world.image.symbols.containing(at)?.name);
    assert.deepEqual(
      names,
      sites.filter((name) => names.includes(name)),
    );
    assert.ok(names.length > 60);
  });

  it('is empty once ftrace is dead', async () => {
    const lab = await newLab('linux');
    lab.attach('ftrace', 'vfs_read');
    assert.notEqual(enabled(lab), '');
    lab.vandalize(lab.at(F, 4), 'e800000000');
    lab.refused('ftrace', F);
    assert.equal(enabled(lab), '');
    const available = kernelView(lab.view(), 'tracing/available_filter_functions');
    assert.equal(available.ok ? 'ok' : available.fault.errno, 'ENODEV');
  });
});

describe('touched_functions', () => {
  it('keeps who was there, with M for IPMODIFY and direct', async () => {
    const lab = await newLab();
    const plain = lab.attach('ftrace', 'vfs_read');
    const direct = lab.attach('fentry', F);
    lab.detach(plain.id);
    lab.detach(direct.id);
    assert.equal(enabled(lab), '');
    const stub = symbol(lab, 'ftrace_stub');
    const lines = read(lab, 'tracing/touched_functions').trimEnd().split('\n').sort();
    assert.deepEqual(lines, [`${F} (0)         M  ->${stub}`, `vfs_read (0)            ->${stub}`]);
  });

  it('is no file of 6.1', async () => {
    const view = kernelView(new RegistryLab(as6_1(await builtinImage()), 'safe').view(), 'tracing/touched_functions');
    assert.equal(view.ok ? 'ok' : view.fault.rule, 'view.unknown');
  });
});

describe('available_filter_functions', () => {
  it('has a line for each site', async () => {
    const lab = await newLab();
    const lines = read(lab, 'tracing/available_filter_functions').trimEnd().split('\n');
    assert.equal(lines.length, lab.world.ftraceSites.length);
    assert.ok(lines.includes(F));
  });
});

describe('kprobes/list', () => {
  it('has address, type, place and flags', async () => {
    const lab = await newLab();
    const first = lab.attach('kprobe', F);
    lab.attach('kretprobe', F);
    const at = lab.address(lab.at(F, 4)).slice(2);
    assert.equal(probes(lab), `${at}  r  ${F}+0x4    [FTRACE]\n${at}  k  ${F}+0x4    [FTRACE]\n`);
    lab.setEnabled(first.id, false);
    assert.equal(probes(lab), `${at}  r  ${F}+0x4    [FTRACE]\n${at}  k  ${F}+0x4    [DISABLED][FTRACE]\n`);
  });

  it('has no flag for a probe in a body that stays an int3', async () => {
    const lab = await newLab();
    lab.attach('kprobe', `${F}+9`, { postHandler: true });
    assert.equal(probes(lab), `${lab.address(lab.at(F, 9)).slice(2)}  k  ${F}+0x9    \n`);
  });

  it('says of a probe that is a jump, or is to become one, that it is optimized', async () => {
    const lab = await newLab();
    lab.attach('kprobe', `${F}+9`);
    assert.equal(probes(lab), `${lab.address(lab.at(F, 9)).slice(2)}  k  ${F}+0x9    [OPTIMIZED]\n`);
  });

  it('shows what Linux failed to unregister without its address', async () => {
    const lab = await newLab('linux');
    const plain = lab.attach('kretprobe', F);
    const post = lab.attach('kprobe', F, { postHandler: true });
    lab.detach(post.id);
    lab.detach(plain.id);
    assert.match(probes(lab), /^0{16} {2}r {2}tcp_set_state\+0x4 {4}\[FTRACE\]$/m);
  });

  it('goes through the buckets of the hash table', async () => {
    const lab = await newLab();
    const names = ['vfs_read', 'tcp_set_state', 'bpf_fentry_test1', 'gcd'];
    for (const name of names) lab.attach('kprobe', name);
    const buckets = probes(lab)
      .trimEnd()
      .split('\n')
      .map((line) => BigInt.asUintN(64, BigInt(`0x${line.slice(0, 16)}`) * 0x61c8_8646_80b5_83ebn) >> 58n);
    assert.equal(buckets.length, names.length);
    assert.deepEqual(
      buckets,
      [...buckets].sort((a, b) => Number(a - b)),
    );
  });
});

describe('kprobes/blacklist', () => {
  it('names what no kprobe may enter, each symbol from start to end', async () => {
    const lab = await newLab();
    const lines = read(lab, 'debug/kprobes/blacklist').trimEnd().split('\n');
    for (const line of lines) assert.match(line, /^0x[0-9a-f]{16}-0x[0-9a-f]{16}\t\S+$/);
    const [, start, name] = /^(0x\w+)-\w+\t(\S+)$/.exec(lines.at(-1) ?? '') ?? [];
    assert.ok(start !== undefined && name !== undefined);
    assert.equal(lab.refused('kprobe', start).rule, 'kprobe.address.blacklisted');
  });
});

describe('a file of the kernel', () => {
  it('reads without changing anything', async () => {
    const lab = await newLab();
    lab.attach('fexit', F);
    lab.attach('kprobe', F);
    const { state } = lab;
    for (const name of VIEW_NAMES) assert.equal(read(lab, name), read(lab, name));
    assert.equal(lab.state, state);
  });
});
