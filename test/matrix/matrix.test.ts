/**
 * The matrix of owner kinds at one function. Goal: every ordered pair is answered as Linux's sources say, a call fires the owners that the
 * registry names, in its order, with the right result, and every set leaves the text as it was. Method: all ordered pairs and a seeded sample of triples, in process; `npx tsx scripts/matrix.ts --triples` runs all of them.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeLab } from '../../scripts/matrix/lab.ts';
import type { OwnerGroup } from '../../scripts/matrix/owners.ts';
import { runSets, type SetResult } from '../../scripts/matrix/run.ts';
import { pairTable, summary } from '../../scripts/matrix/table.ts';
import { seededPrng } from '../../src/base/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { NOP5 } from '../../src/insn/index.ts';
import { isAtLeast, type Strictness } from '../../src/registry/index.ts';
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
const UNAVAILABLE = new Set(['fprobe.unavailable', 'ftrace.unavailable', 'bpf.target.not-modifiable']);

/** Undefined: not a cell of Linux's matrix of function entries; those decisions have tests of their own. */
function expected(
  first: SetResult['owners'][number],
  second: SetResult['owners'][number],
  strictness: Strictness,
): string | undefined {
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
  return VERDICTS[LINUX[first.group as Entry][COLUMNS.indexOf(second.group as Entry)] as Word];
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

async function checkPairs(image: KernelImage, strictness: Strictness, unavailable: readonly string[]): Promise<void> {
  const pairs = [...runSets(makeLab(image, strictness, await machineOf(image)), 2)];
  const missing = new Set<string>();
  for (const pair of pairs) {
    checkSet(pair, strictness);
    const [first, second] = pair.owners as [SetResult['owners'][number], SetResult['owners'][number]];
    if (UNAVAILABLE.has(pair.last.rule ?? '')) missing.add(second.name);
    else {
      const isSecondGraphTracer = first.name === 'graph tracer' && second.name === 'graph tracer';
      // Several users of the function-graph tracer came with 6.11.
      const isGraphBusy = isSecondGraphTracer && !isAtLeast(image.version, '6.11');
      const verdict = isGraphBusy ? 'EBUSY' : (expected(first, second, strictness) ?? pair.last.verdict);
      assert.equal(pair.last.verdict, verdict, `${first.name} → ${second.name}: ${pair.last.rule}`);
    }
  }
  assert.deepEqual([...missing].sort(), [...unavailable].sort());
  const here = makeLab(image, strictness).owners.length - unavailable.length;
  assert.equal(pairs.length, here * (here + unavailable.length));
  assert.equal(
    pairs.some(({ isLeak }) => isLeak),
    strictness === 'linux',
  );
}

const TRIPLES = 400;

async function checkSomeTriples(image: KernelImage, strictness: Strictness, seed: number): Promise<void> {
  const machine = await machineOf(image);
  const random = seededPrng(seed);
  let run = 0;
  for (const triple of runSets(makeLab(image, strictness, machine), 3, () => random.below(15_000) < TRIPLES)) {
    checkSet(triple, strictness);
    run += 1;
  }
  assert.ok(run > TRIPLES / 2, `only ${run} triples`);
}

const WITHOUT_FPROBE = ['fprobe', 'kprobe_multi', 'kretprobe_multi'];

describe('the matrix of owner kinds', () => {
  for (const strictness of ['safe', 'linux'] as const) {
    it(`has Linux's answers in every pair, ${strictness}`, async () =>
      checkPairs(await builtinImage(), strictness, []));

    const seed = Number(process.env['MATRIX_SEED'] ?? 20_191_022);
    it(`leaves the text as it was after triples, ${strictness} (MATRIX_SEED=${seed})`, async () =>
      checkSomeTriples(await builtinImage(), strictness, seed));

    const real = realKernel(RECORDED_6_12);
    it(`has them on ${RECORDED_6_12}, ${strictness}`, { skip: real.skip }, async () =>
      checkPairs(await kernelImage(real.path), strictness, []),
    );

    const older = realKernel(RECORDED_6_1);
    it(`has them on ${RECORDED_6_1}, ${strictness}`, { skip: older.skip }, async () =>
      checkPairs(await kernelImage(older.path), strictness, [...WITHOUT_FPROBE, 'fmod_ret']),
    );
  }

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
