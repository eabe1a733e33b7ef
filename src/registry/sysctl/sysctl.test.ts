/** kernel.ftrace_enabled and debug.kprobes-optimization. Source: kernel/trace/ftrace.c ftrace_enable_sysctl (6.12). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { KernelImage } from '../../image/index.ts';
import { REC } from '../model/flags.ts';
import type { AttachRequest } from '../model/request.ts';
import { readSysctl } from './sysctl.ts';

const F = 'tcp_set_state';
const FTRACE = 'kernel.ftrace_enabled';
const NOP5 = '0f1f440000';

type Strictness = 'safe' | 'linux';

const newLab = async (strictness: Strictness = 'safe'): Promise<RegistryLab> =>
  new RegistryLab(await builtinImage(), strictness);

const site = (lab: RegistryLab): string => lab.hex(lab.at(F, 4), 5);

function write(lab: RegistryLab, value: number, name = FTRACE): string {
  const { outcome } = lab.sysctl(name, value);
  return outcome.kind === 'granted' ? 'OK' : outcome.fault.rule;
}

/** The same image, said to be 6.1: its rules then hold. */
const as6_1 = (image: KernelImage): KernelImage => ({ ...image, version: { major: 6, minor: 1, patch: 0 } });

const OWNERS: readonly [AttachRequest['kind'], Readonly<Record<string, unknown>>][] = [
  ['kprobe', {}],
  ['kprobe', { postHandler: true }],
  ['kretprobe', {}],
  ['ftrace', {}],
  ['ftrace', { saveRegs: true, ipmodify: true }],
  ['ftrace_direct', {}],
  ['fentry', {}],
  ['fexit', {}],
];

describe('kernel.ftrace_enabled', () => {
  for (const [kind, options] of OWNERS) {
    const name = `${kind} ${JSON.stringify(options)}`;

    it(`off makes the site of ${name} a NOP, on calls again`, async () => {
      const lab = await newLab();
      const { id } = lab.attach(kind, F, options);
      const [before, owners] = [site(lab), lab.site(lab.at(F, 4)).owners];
      assert.notEqual(before, NOP5);
      assert.equal(write(lab, 0), 'OK');
      assert.equal(site(lab), NOP5);
      assert.deepEqual(lab.site(lab.at(F, 4)).owners, owners, 'its owner stays');
      assert.deepEqual(lab.site(lab.at(F, 4)).chain, [], 'and does not run');
      assert.equal(lab.state.records.get(lab.at(F, 4))?.count, 1);
      assert.equal(write(lab, 1), 'OK');
      assert.equal(site(lab), before);
      assert.deepEqual(lab.site(lab.at(F, 4)).chain, [id]);
      assert.deepEqual(lab.orphans(), []);
    });

    it(`${name} attached while it is off calls once it is on`, async () => {
      const [lab, straight] = [await newLab(), await newLab()];
      straight.attach(kind, F, options);
      assert.equal(write(lab, 0), 'OK');
      const { id } = lab.attach(kind, F, options);
      assert.equal(site(lab), NOP5);
      assert.equal(write(lab, 1), 'OK');
      assert.equal(site(lab), site(straight));
      assert.equal(lab.detach(id).outcome.kind, 'granted');
      assert.equal(site(lab), NOP5);
      assert.deepEqual(lab.orphans(), []);
    });

    it(`${name} may leave while it is off`, async () => {
      const lab = await newLab();
      const { id } = lab.attach(kind, F, options);
      assert.equal(write(lab, 0), 'OK');
      const { outcome, warnings } = lab.detach(id);
      assert.deepEqual([outcome.kind, warnings], ['granted', []]);
      assert.equal(write(lab, 1), 'OK');
      assert.equal(site(lab), NOP5);
      assert.deepEqual(lab.orphans(), []);
      const record = lab.state.records.get(lab.at(F, 4));
      assert.equal((record?.flags ?? 0) & ~(REC.TOUCHED | REC.MODIFIED), 0);
    });
  }

  it('writing the value that is there changes nothing', async () => {
    const lab = await newLab();
    lab.attach('fentry', F);
    const before = lab.state;
    const decision = lab.sysctl(FTRACE, 1);
    assert.deepEqual([decision.outcome, decision.ops], [{ kind: 'granted', name: FTRACE, value: 1 }, []]);
    assert.equal(lab.state, before);
  });

  it('cannot go off while a livepatch is on, and no livepatch comes while it is off', async () => {
    const lab = await newLab();
    const { id } = lab.attach('livepatch', F);
    assert.equal(write(lab, 0), 'sysctl.ftrace-enabled.permanent');
    lab.detach(id);
    assert.equal(write(lab, 0), 'OK');
    assert.equal(lab.refused('livepatch', F).rule, 'ftrace.off.permanent');
    assert.equal(write(lab, 1), 'OK');
    lab.attach('livepatch', F);
  });

  it('on 6.1 a plain direct call is permanent too, one with an ops_func is not', async () => {
    const lab = new RegistryLab(as6_1(await builtinImage()), 'linux');
    const { id } = lab.attach('ftrace_direct', F, {}, 'direct');
    const { outcome } = lab.sysctl(FTRACE, 0);
    assert.ok(outcome.kind === 'refused');
    assert.deepEqual(
      [outcome.fault.errno, outcome.fault.holders?.map((holder) => holder.client)],
      ['EBUSY', ['direct']],
    );
    lab.detach(id);
    assert.equal(write(lab, 0), 'OK');
    assert.equal(lab.refused('ftrace_direct', F).errno, 'EBUSY');
    lab.attach('ftrace_direct', F, { sharesIpmodify: true });
    assert.equal(write(lab, 1), 'OK');
    assert.equal(write(lab, 0), 'OK');
  });

  it('leaves int3 probes and functions without an ftrace site alone', async () => {
    const lab = await newLab();
    lab.attach('kprobe', `${F}+9`);
    const before = lab.hex(lab.at(F), 16);
    assert.equal(write(lab, 0), 'OK');
    assert.equal(lab.hex(lab.at(F), 16), before);
  });

  it('is ENODEV to write and to read once ftrace is dead', async () => {
    const lab = await newLab('linux');
    lab.vandalize(lab.at(F, 4), 'e800000000');
    assert.equal(lab.refused('ftrace', F).rule, 'ftrace.disabled');
    assert.equal(write(lab, 0), 'ftrace.disabled');
    const read = readSysctl(lab.view(), FTRACE);
    assert.equal(read.ok ? 'ok' : read.fault.errno, 'ENODEV');
  });

  it('stops at bytes that nobody accounts for, and writes nothing', async () => {
    const lab = await newLab('safe');
    lab.attach('ftrace', [F, 'vfs_read']);
    lab.vandalize(lab.at(F, 4), NOP5);
    const before = lab.hex(lab.at('vfs_read', 4), 5);
    assert.equal(write(lab, 0), 'site.unexpected-bytes');
    assert.equal(lab.hex(lab.at('vfs_read', 4), 5), before);
    assert.ok(lab.state.quarantined.has(lab.at(F, 4)));
  });

  it('in linux strictness an owner with SAVE_REGS that leaves while it is off brings ftrace down with the next last one', async () => {
    const lab = await newLab('linux');
    const { id } = lab.attach('kprobe', F);
    assert.equal(write(lab, 0), 'OK');
    lab.detach(id);
    assert.equal(write(lab, 1), 'OK');
    const next = lab.attach('ftrace', 'vfs_read');
    const { outcome, warnings } = lab.detach(next.id);
    assert.equal(outcome.kind, 'granted');
    assert.match(warnings.join(), /ftrace shut itself down/);
    assert.equal(lab.refused('ftrace', F).rule, 'ftrace.disabled');
    assert.deepEqual(lab.orphans(), []);
  });
});

describe('debug.kprobes-optimization', () => {
  it('holds its value', async () => {
    const lab = await newLab();
    const name = 'debug.kprobes-optimization';
    assert.deepEqual(readSysctl(lab.view(), name), { ok: true, value: { name, value: 1 } });
    assert.equal(write(lab, 0, name), 'OK');
    assert.deepEqual(readSysctl(lab.view(), name), { ok: true, value: { name, value: 0 } });
    lab.attach('kprobe', F);
    assert.equal(lab.state.isKprobesOptimization, false);
    assert.equal(write(lab, 2, name), 'sysctl.value.invalid');
  });
});
