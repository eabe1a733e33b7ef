/**
 * The matrix of owner kinds at one function. Goal: every ordered pair is answered as Linux's sources say, by the rules of every kernel version
 * that is built, a call fires the owners that the registry names, in its order, with the right result, and every set leaves the text as it was.
 * Method: all ordered pairs and a seeded sample of triples, in process; by the rules of another version than the image's nothing is called.
 * `npm run matrix -- --kernel all --triples` runs all of them.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type Lab, makeLab } from '../../scripts/matrix/lab.ts';
import type { OwnerGroup } from '../../scripts/matrix/owners.ts';
import { runSets, type SetResult } from '../../scripts/matrix/run.ts';
import { pairTable, shortTable, summary } from '../../scripts/matrix/table.ts';
import { seededPrng } from '../../src/base/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { NOP5 } from '../../src/insn/index.ts';
import { BUILT_KERNELS, type RulesKernel, type Strictness } from '../../src/registry/index.ts';
import { machineOf } from '../support/call-lab.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { withoutSymbols } from '../support/registry-lab.ts';

type Word = 'chain' | 'share' | 'busy' | 'alone';
type Entry = Exclude<OwnerGroup, 'body' | 'breakpoint' | 'static'>;

const COLUMNS: readonly Entry[] = [
  'ops',
  'kprobe',
  'kprobe with post_handler',
  'ipmodify',
  'livepatch',
  'direct',
  'sharing direct',
  'fentry',
  'fexit',
];

const words = (text: string): readonly Word[] => text.split(/\s+/) as Word[];

/** Linux 6.12's answers at a function entry, read from its sources: row first, column second, in the order of COLUMNS. */
const LINUX: Readonly<Record<Entry, readonly Word[]>> = {
  ops: words('chain chain chain chain chain chain chain chain chain'),
  kprobe: words('chain chain chain chain chain chain chain chain chain'),
  'kprobe with post_handler': words('chain chain chain busy busy busy share share share'),
  ipmodify: words('chain chain busy busy busy busy share share share'),
  livepatch: words('chain chain busy busy chain busy share share share'),
  direct: words('chain chain busy busy busy busy busy busy busy'),
  'sharing direct': words('chain chain share share share busy busy busy busy'),
  fentry: words('chain chain share share share busy busy chain chain'),
  fexit: words('chain chain share share share busy busy chain chain'),
};

const VERDICTS: Readonly<Record<Word, string>> = {
  chain: 'chained',
  share: 'shared',
  busy: 'EBUSY',
  alone: 'attached',
};

/** What this image cannot have, whoever is there: its kernel lacks the code, or the BTF id set that allows fmod_ret here. */
const UNAVAILABLE = new Set([
  'fprobe.unavailable',
  'ftrace.unavailable',
  'ftrace.direct.no-ops-func',
  'bpf.target.not-modifiable',
]);

/** Where a version answers otherwise than 6.12, read from the change that made the difference (docs/matrix-versions.md). */
function ofVersion(
  word: Word,
  first: SetResult['owners'][number],
  second: SetResult['owners'][number],
  { kernel, strictness }: Asked,
): string {
  // Up to 5.19 a direct call claims the instruction pointer itself.
  if (word === 'share' && kernel === '5.15') return 'EBUSY';
  // Several tracers came with 6.11.
  const isOneTracer = kernel !== '6.12' && kernel !== '6.18';
  if (isOneTracer && first.name === 'graph tracer' && second.name === 'graph tracer') return 'EBUSY';
  // From 6.14 on register_kprobe does not say that it could not arm.
  const isUnreported = kernel === '6.18' && strictness === 'linux' && second.group === 'kprobe with post_handler';
  if (isUnreported && word === 'busy') return 'chained';
  return VERDICTS[word];
}

interface Asked {
  readonly kernel: RulesKernel;
  readonly strictness: Strictness;
}

/** Undefined: not a cell of Linux's matrix of function entries; those decisions have tests of their own. */
function expected(
  first: SetResult['owners'][number],
  second: SetResult['owners'][number],
  asked: Asked,
): string | undefined {
  const { strictness } = asked;
  // A breakpoint at the ftrace site itself: ftrace meets bytes that it does not know. Linux dies of it, safe refuses.
  if (first.name === 'kgdb' && second.at === 'entry' && second.group !== 'breakpoint')
    return strictness === 'safe' ? 'EBUSY' : 'ENODEV';
  if (first.group === 'breakpoint' || second.group === 'breakpoint') return undefined;
  if (first.group === 'static' || second.group === 'static')
    return first.group === second.group ? undefined : 'attached';
  if (first.group === 'body' || second.group === 'body')
    return VERDICTS[first.group === second.group ? 'chain' : 'alone'];
  // The one cell where safe strictness refuses what Linux grants and gets wrong.
  if (strictness === 'safe' && first.group === 'kprobe' && second.group === 'kprobe with post_handler') return 'EBUSY';
  // A cumulative patch leaves nobody to stack on.
  if (first.kind === 'livepatch' && second.options['replace'] === true) return 'attached';
  const word = LINUX[first.group as Entry][COLUMNS.indexOf(second.group as Entry)] as Word;
  return ofVersion(word, first, second, asked);
}

const isMix = ({ owners }: SetResult): boolean => {
  const at = owners.findIndex(({ group }) => group === 'kprobe');
  return at >= 0 && owners.slice(at).some(({ group }) => group === 'kprobe with post_handler');
};

function checkSet(set: SetResult, strictness: Strictness): void {
  const names = set.owners.map(({ name }) => name).join(' → ');
  assert.deepEqual(set.problems, [], names);
  assert.ok(set.leavings > 0, names);
  // Only what Linux does not ask about may leave bytes behind or kill ftrace, and only in linux strictness.
  const hasUnasked = set.owners.some(({ group }) => group === 'breakpoint' || group === 'static');
  if (set.isLeak) assert.ok(strictness === 'linux' && (isMix(set) || hasUnasked), names);
  if (set.isDead) assert.ok(strictness === 'linux' && set.owners.some(({ group }) => group === 'breakpoint'), names);
}

/** By the image's own rules its function is called, too: generated code of another version's making is not what this image would run. */
const labOf = async (image: KernelImage, strictness: Strictness, rules?: RulesKernel): Promise<Lab> =>
  makeLab(image, strictness, rules === undefined ? await machineOf(image) : undefined, rules);

async function checkPairs(
  image: KernelImage,
  strictness: Strictness,
  unavailable: readonly string[],
  rules?: RulesKernel,
): Promise<void> {
  const lab = await labOf(image, strictness, rules);
  const { kernel } = lab.world;
  const pairs = [...runSets(lab, 2)];
  const missing = new Set<string>();
  for (const pair of pairs) {
    checkSet(pair, strictness);
    const [first, second] = pair.owners as [SetResult['owners'][number], SetResult['owners'][number]];
    if (UNAVAILABLE.has(pair.last.rule ?? '')) missing.add(second.name);
    else {
      const verdict = expected(first, second, { kernel, strictness }) ?? pair.last.verdict;
      assert.equal(pair.last.verdict, verdict, `${first.name} → ${second.name}: ${pair.last.rule}`);
    }
  }
  assert.deepEqual([...missing].sort(), [...unavailable].sort());
  const here = lab.owners.length - unavailable.length;
  assert.equal(pairs.length, here * (here + unavailable.length));
  assert.equal(
    pairs.some(({ isLeak }) => isLeak),
    strictness === 'linux',
  );
}

const TRIPLES = 400;

async function checkSomeTriples(
  image: KernelImage,
  strictness: Strictness,
  seed: number,
  rules?: RulesKernel,
): Promise<void> {
  const lab = await labOf(image, strictness, rules);
  const random = seededPrng(seed);
  const most = rules === undefined ? TRIPLES : TRIPLES / 4;
  let run = 0;
  for (const triple of runSets(lab, 3, () => random.below(15_000) < most)) {
    checkSet(triple, strictness);
    run += 1;
  }
  assert.ok(run > most / 2, `only ${run} triples`);
}

const WITHOUT_FPROBE = ['fprobe', 'kprobe_multi', 'kretprobe_multi'];

/** What a version has on no image. */
const NOT_IN: Readonly<Partial<Record<RulesKernel, readonly string[]>>> = {
  '5.15': [...WITHOUT_FPROBE, 'direct sharing', 'fmod_ret'],
  '6.1': ['fmod_ret'],
};

describe('the matrix of owner kinds', () => {
  for (const strictness of ['safe', 'linux'] as const) {
    it(`has Linux's answers in every pair, ${strictness}`, async () =>
      checkPairs(await builtinImage(), strictness, []));

    const seed = Number(process.env['MATRIX_SEED'] ?? 20_191_022);
    it(`leaves the text as it was after triples, ${strictness} (MATRIX_SEED=${seed})`, async () =>
      checkSomeTriples(await builtinImage(), strictness, seed));

    for (const kernel of BUILT_KERNELS)
      it(`has those of ${kernel} by its rules, and leaves the text as it was, ${strictness} (MATRIX_SEED=${seed})`, async () => {
        const image = await builtinImage();
        const missing = NOT_IN[kernel] ?? [];
        await checkPairs(image, strictness, missing, kernel);
        await checkSomeTriples(image, strictness, seed, kernel);
      });

    const real = realKernel(RECORDED_6_12);
    it(`has them on ${RECORDED_6_12}, ${strictness}`, { skip: real.skip }, async () =>
      checkPairs(await kernelImage(real.path), strictness, []),
    );

    for (const [kernel, missing] of [
      ['5.15', NOT_IN['5.15'] ?? []],
      ['6.18', []],
    ] as const)
      it(`has those of ${kernel} on ${RECORDED_6_12}, ${strictness}`, { skip: real.skip }, async () =>
        checkPairs(await kernelImage(real.path), strictness, missing, kernel),
      );

    const older = realKernel(RECORDED_6_1);
    it(`has them on ${RECORDED_6_1}, ${strictness}`, { skip: older.skip }, async () =>
      checkPairs(await kernelImage(older.path), strictness, [...WITHOUT_FPROBE, 'fmod_ret']),
    );
  }

  it('is in the README as it is printed', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const table = shortTable([...runSets(makeLab(await builtinImage(), 'safe'), 2)]);
    assert.ok(readme.includes(table), table);
  });

  it('is not fooled: a stray byte and a missing one are found', async () => {
    const lab = makeLab(await builtinImage(), 'safe');
    const owner = lab.owners.find(({ name }) => name === 'fentry');
    assert.ok(owner !== undefined);
    const { kernel } = lab.attach(lab.start, owner, 0);
    assert.deepEqual(lab.audit(kernel), []);
    const at = lab.world.ftraceSites[0] as number;
    const write = (bytes: readonly number[], where: number) => ({
      ...kernel,
      text: kernel.text.after([{ kind: 'install', at: where, bytes: Uint8Array.from(bytes), what: 'vandal' }]),
    });
    assert.match(lab.audit(write([0xcc], at)).join(), /1 changed bytes that nobody accounts for/);
    const site = [...kernel.state.attachments.values()][0]?.sites[0] as number;
    assert.match(lab.audit(write([0x0f, 0x1f, 0x44, 0, 0], site)).join(), /ftrace at .* is 0f1f440000, not e8/);
    // The call of the site is gone, and with it the owner: a call of the function tells.
    const calling = makeLab(await builtinImage(), 'safe', await machineOf(await builtinImage()));
    assert.deepEqual(calling.call(kernel), []);
    const silent = { ...kernel, text: kernel.text.after([{ kind: 'install', at: site, bytes: NOP5, what: 'vandal' }]) };
    assert.deepEqual(calling.call(silent), ['fired none, not owner_0']);
    // A set whose first owner is there without its bytes is reported, not thrown.
    const broken = { ...lab, start: write([0xcc], at) };
    const sets = [...runSets(broken, 1)];
    assert.ok(sets.length > 0 && sets.every(({ problems }) => problems.length > 0));
  });

  it('prints a row and a column for each owner, and what went wrong', async () => {
    const image = withoutSymbols(await builtinImage(), 'fprobe_handler', 'function_trace_call');
    const pairs = [...runSets(makeLab(image, 'linux'), 2)];
    const table = pairTable(pairs);
    const { owners } = makeLab(image, 'linux');
    // Four kinds are not on this kernel; their absence is told behind the table.
    assert.equal(table.split('\n').length, owners.length - 4 + 2 + 2);
    assert.match(table, /Not on this kernel: kprobe_multi \(`fprobe\.unavailable`\)/);
    assert.match(table, /\| \*\*kprobe\*\* \| chained \| chained \| chained \| chained † \|/);
    const [first] = pairs as [SetResult];
    assert.match(pairTable([{ ...first, problems: ['x'] }]), /✗/);
    assert.match(summary([{ ...first, problems: ['x'] }]), /1 problems/);
  });
});
