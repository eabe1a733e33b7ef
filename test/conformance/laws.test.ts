/**
 * What recordings of some functions imply for all others. Goal: the answers about one function agree with each other in the way in which every
 * recorded function's do. Method: a seeded sample of the symbols of each recorded kernel, every kind asked of each, on a kernel where nobody is
 * attached; the laws below are those of Linux's sources and hold for every recorded function.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import type { AttachRequest } from '../../src/registry/index.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { RegistryLab } from '../support/registry-lab.ts';

const SYMBOLS = 600;
const seed = Number(process.env['LAWS_SEED'] ?? 20_191_022);

type Answers = Readonly<Record<string, string>>;

function answersFor(lab: RegistryLab, name: string): Answers {
  const start = lab.state;
  const address = `0x${lab.world.image.symbols.byName(name)[0]?.address.toString(16)}`;
  const ask = (kind: AttachRequest['kind'], target: AttachRequest['target'], options = {}): string => {
    lab.restart(start);
    const { outcome } = lab.decide({ kind, target, options });
    lab.restart(start);
    return outcome.kind === 'granted' ? 'OK' : outcome.fault.errno;
  };
  return {
    kprobe: ask('kprobe', name),
    byAddress: ask('kprobe', address),
    post: ask('kprobe', name, { postHandler: true }),
    kretprobe: ask('kretprobe', name),
    perf: ask('kprobe', name, { via: 'perf' }),
    tracefs: ask('kprobe', name, { via: 'tracefs' }),
    ftrace: ask('ftrace', name),
    direct: ask('ftrace_direct', name),
    multi: ask('kprobe_multi', [name]),
    fprobe: ask('fprobe', name),
    livepatch: ask('livepatch', [name]),
    fentry: ask('fentry', name),
    fexit: ask('fexit', name),
    fmodRet: ask('fmod_ret', name),
  };
}

/** Each law says what is wrong with the answers about a function; undefined when nothing is. */
const LAWS: Readonly<Record<string, (a: Answers, lab: RegistryLab, name: string) => boolean>> = {
  'a kprobe by name is one by address': (a) => a['kprobe'] === a['byAddress'],
  'a post_handler alone changes nothing': (a) => a['kprobe'] === a['post'],
  'a kretprobe is refused as a kprobe is, or by its own list': (a) =>
    a['kretprobe'] === a['kprobe'] || (a['kprobe'] === 'OK' && a['kretprobe'] === 'EINVAL'),
  'perf and tracefs grant only what register_kprobe grants': (a) =>
    (a['perf'] !== 'OK' && a['tracefs'] !== 'OK') || a['kprobe'] === 'OK',
  'perf and tracefs grant the same': (a) => (a['perf'] === 'OK') === (a['tracefs'] === 'OK'),
  'ftrace, direct calls, fprobe and kprobe.multi take the same functions': (a, lab) => {
    const hasFprobe = lab.world.image.symbols.offsetOf('fprobe_handler') !== undefined;
    const multi = hasFprobe ? [a['multi'], a['fprobe']] : [];
    return [a['direct'], ...multi].every((each) => (each === 'OK') === (a['ftrace'] === 'OK'));
  },
  'a livepatch takes a function of ftrace whose name is its own': (a, lab, name) =>
    (a['livepatch'] === 'OK') === (a['ftrace'] === 'OK' && lab.world.image.symbols.byName(name).length === 1),
  'fexit and fmod_ret grant only what fentry grants': (a) =>
    a['fentry'] === 'OK' || (a['fexit'] !== 'OK' && a['fmodRet'] !== 'OK'),
  'a function without a site is EBUSY to fentry, or EINVAL or ENOENT before that': (a) =>
    a['ftrace'] === 'OK' || ['EBUSY', 'EINVAL', 'ENOENT', 'ENOTSUPP'].includes(a['fentry'] ?? ''),
};

function sample(image: KernelImage): readonly string[] {
  const random = seededPrng(seed);
  const names = new Set<string>();
  for (let tries = 0; names.size < SYMBOLS && tries < SYMBOLS * 20; tries++) {
    const symbol = image.symbols.at(random.below(image.symbols.count));
    if (symbol !== undefined && /^[a-zA-Z_][\w.]*$/.test(symbol.name)) names.add(symbol.name);
  }
  return [...names];
}

for (const kernel of [RECORDED_6_12, RECORDED_6_1]) {
  const { path, skip } = realKernel(kernel);
  describe(`the laws of ${kernel} (LAWS_SEED=${seed})`, { skip }, () => {
    for (const strictness of ['safe', 'linux'] as const)
      it(`hold for ${SYMBOLS} symbols, ${strictness}`, async () => {
        const lab = new RegistryLab(await kernelImage(path), strictness);
        const broken: string[] = [];
        let granted = 0;
        for (const name of sample(lab.world.image)) {
          const answers = answersFor(lab, name);
          if (answers['ftrace'] === 'OK') granted += 1;
          for (const [law, holds] of Object.entries(LAWS))
            if (!holds(answers, lab, name)) broken.push(`${name}: ${law}: ${JSON.stringify(answers)}`);
        }
        assert.deepEqual(broken, []);
        assert.ok(granted > SYMBOLS / 20, `only ${granted} functions with a site`);
      });
  });
}
