import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { Strictness } from '../model/request.ts';

const F = 'tcp_set_state';
/** The ftrace site, behind ENDBR64; then an instruction of the body. */
const SITE = `${F}+0x4`;
const BODY = `${F}+0x9`;

const lab = async (strictness: Strictness): Promise<RegistryLab> => new RegistryLab(await builtinImage(), strictness);

/** The next instruction of the body, for a kprobe behind a breakpoint at BODY. */
function nextOf(on: RegistryLab): string {
  for (let delta = 10; delta < 32; delta++) {
    const trial = on.decide({ kind: 'kprobe', target: `${F}+${delta}` });
    if (trial.outcome.kind !== 'granted') continue;
    on.detach(trial.outcome.attachment.id);
    return `${F}+${delta}`;
  }
  throw new Error('no instruction');
}

describe('kgdb', () => {
  it('sets an int3 and writes the byte back', async () => {
    const on = await lab('safe');
    const at = on.at(F, 9);
    const before = on.hex(at, 4);
    const { id, warnings } = on.attach('kgdb', BODY);
    assert.match(warnings[0] ?? '', /CONFIG_KGDB/);
    assert.equal(on.hex(at, 1), 'cc');
    assert.deepEqual([on.site(at).mechanism, on.site(at).owners], ['kgdb-int3', [id]]);
    assert.deepEqual(on.orphans(), []);
    on.detach(id);
    assert.equal(on.hex(at, 4), before);
    assert.equal(on.state.kgdb.size, 0);
  });

  it('hides instructions from kprobes behind it and refuses one at its address', async () => {
    for (const strictness of ['safe', 'linux'] as const) {
      const on = await lab(strictness);
      const next = nextOf(on);
      const { id } = on.attach('kgdb', BODY);
      assert.equal(on.refused('kprobe', next).errno, 'EILSEQ');
      assert.equal(on.refused('kprobe', BODY).errno, 'EILSEQ');
      on.detach(id);
      on.attach('kprobe', next);
    }
  });

  it('kills ftrace in linux with the next change of its site', async () => {
    const on = await lab('linux');
    const { id, warnings } = on.attach('kgdb', SITE);
    assert.equal(warnings.length, 1, 'nobody has the site yet');
    assert.equal(on.refused('ftrace', F).rule, 'ftrace.disabled');
    assert.equal(on.state.ftrace.isDisabled, true);
    assert.equal(on.refused('fprobe', 'vfs_read').errno, 'ENODEV');
    on.detach(id);
    assert.deepEqual(on.orphans(), []);
  });

  it('stands over an ftrace call in linux, and is refused there in safe', async () => {
    const safe = await lab('safe');
    safe.attach('ftrace', F, {}, 'tracer');
    assert.equal(safe.refused('kgdb', SITE).rule, 'kgdb.site.ftrace');
    const inside = new RegistryLab(await builtinImage(), 'safe');
    assert.equal(inside.refused('kgdb', `${F}+0x6`).rule, 'kgdb.site.ftrace');
    assert.equal(inside.refused('kgdb', 'ftrace_caller').rule, 'kgdb.site.ftrace');

    const linux = await lab('linux');
    const tracer = linux.attach('ftrace', F, {}, 'tracer');
    const breakpoint = linux.attach('kgdb', SITE);
    assert.match(breakpoint.warnings[0] ?? '', /kgdb\.site\.ftrace/);
    assert.deepEqual(linux.site(linux.at(F, 4)).owners, [breakpoint.id, tracer.id]);
    assert.deepEqual(linux.orphans(), []);
    linux.detach(breakpoint.id);
    linux.detach(tracer.id);
    assert.equal(linux.hex(linux.at(F, 4), 5), '0f1f440000');
  });

  it('keeps others from its place in safe, and quarantines nothing', async () => {
    const on = await lab('safe');
    const { id } = on.attach('kgdb', SITE, {}, 'debugger');
    for (const kind of ['ftrace', 'kprobe', 'kretprobe', 'fentry', 'fexit', 'livepatch', 'ftrace_direct'] as const) {
      const fault = on.refused(kind, F);
      assert.equal(fault.rule, 'kgdb.breakpoint.in-the-way', kind);
      assert.deepEqual(
        fault.holders?.map(({ client }) => client),
        ['debugger'],
      );
    }
    assert.equal(on.state.quarantined.size, 0);
    on.detach(id);
    on.attach('fentry', F);
  });

  it('makes linux stop with BUG at a static branch and at a static call', async () => {
    const on = await lab('linux');
    const { jumpLabels } = on.world.image;
    const label = on.attach('kgdb', on.address(jumpLabels.code[0] as number));
    assert.equal(on.refused('jump_label', on.address(jumpLabels.code[0] as number)).rule, 'jump_label.site.bug');
    const call = on.attach('kgdb', '__SCT__cond_resched');
    assert.equal(on.refused('static_call', 'cond_resched', { to: 'gcd' }).rule, 'static_call.site.bug');
    for (const { id } of [label, call]) on.detach(id);
    on.attach('static_call', 'cond_resched', { to: 'gcd' });
    assert.deepEqual(on.orphans(), []);
  });

  it('is written over in linux behind the opcode of a static call, where Linux does not look', async () => {
    const on = await lab('linux');
    const at = on.at('__SCT__cond_resched');
    const { id } = on.attach('kgdb', '__SCT__cond_resched+0x2');
    const call = on.attach('static_call', 'cond_resched', { to: 'gcd' });
    assert.equal(on.callee(at), on.at('gcd'));
    assert.deepEqual(on.orphans(), []);
    assert.equal(on.detach(id).warnings.length, 1, 'the byte of the old call is back in the new one');
    assert.notEqual(on.callee(at), on.at('gcd'));
    assert.deepEqual(on.orphans(), []);
    on.detach(call.id);
    assert.deepEqual(on.orphans(), []);
    assert.equal(on.state.kgdb.size, 0);

    const behindNop = await lab('linux');
    const site = behindNop.world.image.staticCalls.site.findIndex((each) => behindNop.hex(each, 5) === '2e2e2e31c0');
    const address = behindNop.address((behindNop.world.image.staticCalls.site[site] as number) + 2);
    behindNop.attach('kgdb', address);
    assert.equal(behindNop.refused('static_call', 'might_resched', { to: 'gcd' }).rule, 'static_call.site.bug');
  });

  it('may stand where kprobes may not: on a ud2 and in padding', async () => {
    for (const strictness of ['safe', 'linux'] as const) {
      const on = await lab(strictness);
      const ud2 = on.address(on.world.image.bugTable[0] as number);
      for (const place of [ud2, `__pfx_${F}`]) {
        assert.equal(on.refused('kprobe', place).errno, 'EINVAL');
        on.detach(on.attach('kgdb', place).id);
      }
    }
  });

  it('leaves the int3 of a kprobe behind in linux when the probe went first', async () => {
    const on = await lab('linux');
    const at = on.at(F, 9);
    const probe = on.attach('kprobe', BODY);
    const breakpoint = on.attach('kgdb', BODY);
    assert.match(breakpoint.warnings[0] ?? '', /kgdb\.site\.kprobe/);
    assert.deepEqual(on.site(at).owners, [breakpoint.id, probe.id]);
    on.detach(probe.id);
    assert.notEqual(on.hex(at, 1), 'cc', 'the probe wrote over the breakpoint');
    assert.deepEqual(on.orphans(), []);
    assert.match(on.detach(breakpoint.id).warnings[0] ?? '', /will not be restored/);
    assert.equal(on.hex(at, 1), 'cc');
    assert.deepEqual(on.orphans(), []);
  });

  it('takes the int3 of a kprobe away in linux when the probe was armed after it', async () => {
    const on = await lab('linux');
    const at = on.at(F, 9);
    const before = on.hex(at, 1);
    const probe = on.attach('kprobe', BODY);
    on.setEnabled(probe.id, false);
    const breakpoint = on.attach('kgdb', BODY);
    assert.equal(on.setEnabled(probe.id, true).outcome.kind, 'granted');
    on.detach(breakpoint.id);
    assert.equal(on.hex(at, 1), before, 'the probe is armed and cannot fire');
    assert.deepEqual(on.orphans(), []);
    on.detach(probe.id);
    assert.equal(on.hex(at, 1), before);
    assert.equal(on.state.kgdb.size, 0);
  });

  it('leaves a kprobe as it was when it goes first', async () => {
    const on = await lab('linux');
    const at = on.at(F, 9);
    const before = on.hex(at, 1);
    const probe = on.attach('kprobe', BODY);
    const breakpoint = on.attach('kgdb', BODY);
    on.detach(breakpoint.id);
    assert.equal(on.hex(at, 1), 'cc');
    on.detach(probe.id);
    assert.equal(on.hex(at, 1), before);
    assert.equal(on.state.kgdb.size, 0);
  });
});
