/**
 * Goal: attached programs get every argument word of real functions: on the stack, by value, in every layout. Method: calls in process, of functions of
 * the built-in and of the recorded kernel, with and without programs; the function has to answer the same.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KernelImage } from '../../src/image/index.ts';
import type { CallOutcome } from '../../src/machine/index.ts';
import { buffer, callIn, word } from '../support/call-lab.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { bytecodeOf } from '../support/layout-rule-cases.ts';
import { RegistryLab } from '../support/registry-lab.ts';

const returned = ({ end }: CallOutcome): bigint => {
  assert.equal(
    end.kind,
    'returned',
    JSON.stringify(end, (_, each) => (typeof each === 'bigint' ? String(each) : each)),
  );
  return end.kind === 'returned' ? end.value : 0n;
};

/** bpf_modify_return_test2(int a, int *b, short c, int d, void *e, char f, int g): b := *b + 1, answers the sum. */
const SEVEN = [word(1), buffer('02000000'), word(3), word(4), word(5), word(6), word(7)];
const SEVEN_SUM = 1n + 3n + 3n + 4n + 5n + 6n + 7n;
const LAYOUTS = ['linux', 'seed', 'frame', 'registers', 'r11'] as const;

function load(lab: RegistryLab, attachTo: string, source: string): string {
  const { outcome } = lab.loadProgram({ type: 'fentry', bytecode: bytecodeOf(source), attachTo });
  assert.equal(outcome.kind, 'granted');
  return outcome.kind === 'granted' ? outcome.program.id : '';
}

/** Distinct words, above what any buffer's address is. */
const distinct = (count: number): readonly ReturnType<typeof word>[] =>
  Array.from({ length: count }, (_, index) => word(0x1111_1111_1111_1111n * BigInt(index + 1)));

describe('programs on the built-in kernel', () => {
  it('see the seventh argument, which comes on the stack, and the function gets it', async () => {
    for (const kinds of [['fentry'], ['fexit'], ['fentry', 'fexit', 'fmod_ret']] as const) {
      const lab = new RegistryLab(await builtinImage(), 'linux');
      for (const kind of kinds) lab.attach(kind, 'bpf_modify_return_test2');
      const outcome = await callIn(lab, 'bpf_modify_return_test2', SEVEN);
      assert.equal(returned(outcome), SEVEN_SUM);
      assert.equal(outcome.fired.length, kinds.length);
      const pointer = outcome.buffers[0]?.address;
      for (const { args } of outcome.fired) assert.deepEqual(args, [1n, pointer, 3n, 4n, 5n, 6n, 7n]);
    }
  });

  it('read it directly in the layouts frame and r11', async () => {
    for (const layout of ['frame', 'r11'] as const) {
      const lab = new RegistryLab(await builtinImage(), 'linux');
      const program = load(
        lab,
        'bpf_modify_return_test2',
        'ldxdw %r0, [%r1+48]\ndiv %r0, 3\nldxdw %r2, [%r1]\nmov %r0, 0\nexit',
      );
      const id = lab.attach('fentry', 'bpf_modify_return_test2', { layout }, 'me', program).id;
      const outcome = await callIn(lab, 'bpf_modify_return_test2', SEVEN);
      assert.equal(returned(outcome), SEVEN_SUM);
      assert.deepEqual(
        outcome.fired.map(({ attachment, args }) => [attachment, args.length, args[6]]),
        [[id, 7, 7n]],
      );
    }
  });

  it('are entered in every layout, several of them, and leave the registers as they were', async () => {
    const plain = await callIn(new RegistryLab(await builtinImage(), 'linux'), 'bpf_fentry_test5', distinct(5));
    for (const layout of LAYOUTS) {
      const lab = new RegistryLab(await builtinImage(), 'linux');
      const source = (word: number): string => `ldxdw %r3, [%r1+${8 * word}]\nmov %r1, 0\nmov %r2, 0\nmov %r0, 0\nexit`;
      const ids = [0, 1, 2].map(
        (each) =>
          lab.attach(
            'fentry',
            'bpf_fentry_test5',
            { layout },
            `client-${each}`,
            load(lab, 'bpf_fentry_test5', source(each)),
          ).id,
      );
      lab.attach('fentry', 'bpf_fentry_test5', { layout }, 'counting');
      const outcome = await callIn(lab, 'bpf_fentry_test5', distinct(5));
      assert.equal(returned(outcome), returned(plain), layout);
      assert.equal(outcome.fired.length, 4, layout);
      const words = distinct(5).map((each) => (each.kind === 'word' ? each.value : 0n));
      const expected = layout === 'seed' ? words.toReversed() : words;
      for (const { args } of outcome.fired) assert.deepEqual(args, expected, layout);
      for (const id of ids) assert.ok(outcome.fired.some(({ attachment }) => attachment === id));
      for (const id of ids) lab.detach(id);
      assert.equal(returned(await callIn(lab, 'bpf_fentry_test5', distinct(5))), returned(plain));
    }
  });
});

const { path, skip } = realKernel(RECORDED_6_12);

/** Functions of 6.12 that answer on their own whatever they are given, by what is special about their arguments. */
const REAL: readonly (readonly [name: string, words: number])[] = [
  // Up to eleven words; the last of them on the stack.
  ['bitfill_aligned', 7],
  ['__traceiter_kmalloc', 7],
  ['__traceiter_dma_alloc', 8],
  ['__traceiter_thermal_power_allocator', 9],
  ['__traceiter_arm_event', 10],
  // Structures by value: of 8 and of 16 bytes.
  ['arch_check_zapped_pte', 2],
  ['pfn_modify_allowed', 2],
  ['ssp_get', 4],
  ['__probestub_xen_mmu_ptep_modify_prot_commit', 5],
];

describe('programs on functions of 6.12', { skip }, () => {
  const image = (): Promise<KernelImage> => kernelImage(path);

  it('see all words, and the function answers the same', async () => {
    for (const [name, count] of REAL) {
      const zeroes = Array.from({ length: count }, () => word(0));
      const plain = await callIn(new RegistryLab(await image(), 'linux'), name, zeroes);
      const lab = new RegistryLab(await image(), 'linux');
      for (const kind of ['fentry', 'fexit'] as const) lab.attach(kind, name);
      const outcome = await callIn(lab, name, zeroes);
      assert.equal(returned(outcome), returned(plain), name);
      assert.deepEqual(
        outcome.fired.map(({ args }) => args.length),
        [count, count],
        name,
      );
    }
  });

  it('see each word in its place', async () => {
    for (const name of ['__probestub_xen_mmu_ptep_modify_prot_commit', '__probestub_xen_mmu_set_p4d']) {
      const count = name === '__probestub_xen_mmu_set_p4d' ? 4 : 5;
      const lab = new RegistryLab(await image(), 'linux');
      lab.attach('fentry', name);
      const outcome = await callIn(lab, name, distinct(count));
      assert.deepEqual(
        outcome.fired[0]?.args,
        distinct(count).map((each) => (each.kind === 'word' ? each.value : 0n)),
      );
    }
  });
});
