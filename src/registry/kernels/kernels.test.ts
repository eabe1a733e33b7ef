import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { ofVersion } from '../../../test/support/kernel-rule-cases.ts';
import { RegistryLab, withoutSymbols } from '../../../test/support/registry-lab.ts';
import { RULES } from '../rules/index.ts';
import { factAt } from './fact.ts';
import { MODIFY_DIRECT } from './ftrace-facts.ts';
import { factsOfRule, KERNEL_FACTS } from './index.ts';
import { BUILT_KERNELS, isAtLeast, LATEST_PATCH, latestOf, rulesKernel } from './versions.ts';

const version = (text: string) => {
  const [major = 0, minor = 0, patch = 0] = text.split('.').map(Number);
  return { major, minor, patch };
};

describe('kernel versions', () => {
  for (const [release, rules] of [
    ['4.19.0', '5.15'],
    ['5.15.0', '5.15'],
    ['6.0.9', '5.15'],
    ['6.1.192', '6.1'],
    ['6.5.0', '6.1'],
    ['6.6.0', '6.6'],
    ['6.11.11', '6.6'],
    ['6.12.117', '6.12'],
    ['6.17.0', '6.12'],
    ['6.18.0', '6.18'],
    ['7.1.2', '6.18'],
  ] as const)
    it(`${release} gets the rules of ${rules}`, () => assert.equal(rulesKernel(version(release)), rules));
});

describe('every fact', () => {
  it('has a name of its own', () => {
    const names = KERNEL_FACTS.map(({ name }) => name);
    assert.deepEqual([...new Set(names)], names);
  });

  for (const fact of KERNEL_FACTS)
    it(`${fact.name} is in order, has sources, and is what some rule rests on`, () => {
      assert.match(fact.name, /^[a-z_]+(\.[a-z_-]+)+$/);
      assert.match(fact.title, /[?.)]$/);
      assert.match(fact.linux, /\.[ch]/);
      for (const [i, { since, is, source }] of fact.values.entries()) {
        assert.match(since, /^\d+\.\d+(\.\d+)?$/);
        assert.ok(source.length > 15, source);
        const before = fact.values[i - 1];
        if (before === undefined) continue;
        assert.ok(!isAtLeast(version(before.since), since), `${since} is not after ${before.since}`);
        assert.notEqual(is, before.is, `${since} changes nothing`);
      }
      assert.ok(fact.rules.length > 0);
      for (const rule of fact.rules) assert.ok(RULES.has(rule), rule);
    });

  it('is found by the rules that rest on it', () =>
    assert.deepEqual(
      factsOfRule('bpf.trampoline.retry-busy').map(({ name }) => name),
      ['ftrace.direct.retry'],
    ));

  it('has the value of the point release', () => {
    for (const [release, value] of [
      ['6.1.159', 'does not ask'],
      ['6.1.160', 'asks and forgets the function'],
      ['6.5.13', 'does not ask'],
      ['6.6.50', 'unknown'],
      ['6.12.117', 'asks'],
      ['6.18.0', 'asks'],
      ['7.0.0', 'asks'],
    ] as const)
      assert.equal(factAt(MODIFY_DIRECT, version(release)).is, value, release);
    assert.equal(latestOf('6.6').patch, LATEST_PATCH);
    assert.equal(factAt(MODIFY_DIRECT, latestOf('6.6')).is, 'asks');
  });
});

const F = 'tcp_set_state';

/** `kind` or `kind` with one option set. */
const wish = (text: string): readonly [string, Readonly<Record<string, unknown>>] => {
  const [kind = '', option] = text.split(' ');
  return [kind, option === undefined ? {} : { [option]: option === 'tracer' ? 'function_graph' : true }];
};

/** What the last of these is answered by the rules of 5.15, 6.1, 6.6, 6.12 and 6.18: the verdict, or errno and rule. */
const ANSWERS: readonly (readonly [string, readonly string[]])[] = [
  ['kprobe postHandler > fentry', ['EBUSY', 'shared', 'shared', 'shared', 'shared']],
  ['livepatch > fentry', ['EBUSY', 'shared', 'shared', 'shared', 'shared']],
  ['livepatch > fexit', ['EBUSY', 'shared', 'shared', 'shared', 'shared']],
  ['fentry > livepatch', ['EBUSY', 'shared', 'shared', 'shared', 'shared']],
  ['fentry > kprobe postHandler', ['EBUSY', 'shared', 'shared', 'shared', 'shared']],
  ['fentry > kprobe', ['chained', 'chained', 'chained', 'chained', 'chained']],
  ['kprobe > livepatch', ['chained', 'chained', 'chained', 'chained', 'chained']],
  ['ftrace_direct > livepatch', ['EBUSY', 'EBUSY', 'EBUSY', 'EBUSY', 'EBUSY']],
  ['ftrace_direct sharesIpmodify > livepatch', ['EOPNOTSUPP', 'shared', 'shared', 'shared', 'shared']],
  ['ftrace tracer > ftrace tracer', ['EBUSY', 'EBUSY', 'EBUSY', 'chained', 'chained']],
  ['livepatch > kprobe postHandler', ['EBUSY', 'EBUSY', 'EBUSY', 'EBUSY', 'chained']],
  ['livepatch > fentry > fexit', ['EBUSY', 'shared', 'shared', 'shared', 'shared']],
];

describe('versions differ', () => {
  for (const [text, answers] of ANSWERS)
    it(`in ${text}: ${answers.join(', ')}`, async () => {
      const image = await builtinImage();
      const found = BUILT_KERNELS.map((kernel) => {
        const lab = new RegistryLab(ofVersion(kernel)(image), 'linux');
        let last = '';
        for (const each of text.split(' > ')) {
          const [kind, options] = wish(each);
          const target = kind === 'livepatch' ? [F] : F;
          const { outcome } = lab.decide({ kind: kind as 'kprobe', target, options });
          last = outcome.kind === 'granted' ? outcome.verdict : outcome.fault.errno;
          if (outcome.kind === 'refused') break;
        }
        return last;
      });
      assert.deepEqual(found, answers);
    });

  it('in the order of three that does harm: it kills ftrace, loses the patch, is unknown, or works', async () => {
    const image = await builtinImage();
    for (const [release, expected] of [
      ['6.1.100', /runs unpatched/],
      ['6.1.192', /kills ftrace/],
      ['6.6.50', /No source settles/],
      ['6.12', undefined],
    ] as const) {
      const lab = new RegistryLab(ofVersion(release)(image), 'linux');
      if (release !== '6.6.50') lab.attach('livepatch', [F]);
      else lab.attach('ftrace', F, { ipmodify: true });
      lab.attach('fentry', F);
      const { outcome, warnings } = lab.decide({ kind: 'fexit', target: F });
      const said = outcome.kind === 'refused' ? outcome.fault.detail : warnings.join();
      if (expected === undefined) assert.equal(said, '');
      else assert.match(said, expected, release);
    }
  });
});

describe('a probe that Linux 6.18 does not arm', () => {
  it('is granted, never fires, cannot be enabled, and leaves nothing behind', async () => {
    const lab = new RegistryLab(ofVersion('6.18')(await builtinImage()), 'linux');
    const patch = lab.attach('livepatch', [F]);
    const probe = lab.attach('kprobe', F, { postHandler: true });
    assert.match(probe.warnings.join(), /never fires/);
    assert.deepEqual(lab.site(lab.at(F, 4)).chain, [patch.id]);
    const { outcome } = lab.setEnabled(probe.id, false);
    assert.equal(outcome.kind === 'refused' && outcome.fault.errno, 'EINVAL');
    lab.detach(probe.id);
    lab.detach(patch.id);
    assert.equal(lab.hex(lab.at(F, 4), 5), '0f1f440000');
    assert.equal(lab.state.arena.allocations.size, 0);
    // Once the patch has gone a probe is armed as ever.
    assert.deepEqual(lab.attach('kprobe', F, { postHandler: true }).warnings, []);
  });
});

describe('fprobe on the function-graph tracer (6.14)', () => {
  it('shares its ops with all other fprobes and the tracers', async () => {
    const image = withoutSymbols(ofVersion('6.18')(await builtinImage()), 'fprobe_handler');
    const symbols = { ...image.symbols, offsetOf: (name: string) => image.symbols.offsetOf(name) };
    assert.ok(symbols.offsetOf(F) !== undefined);
    const lab = new RegistryLab(image, 'safe');
    assert.equal(lab.refused('fprobe', F).rule, 'fprobe.unavailable');
  });
});
