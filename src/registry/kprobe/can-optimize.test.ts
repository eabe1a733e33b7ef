/** Which probes kprobes/list shows as [OPTIMIZED]. Recordings of two kernels check the same in test/conformance/views.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab, withBytes } from '../../../test/support/registry-lab.ts';

const F = 'tcp_set_state';

const newLab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'safe');

/** Offsets in `F` of the probes that are, or are to become, a jump. */
function optimized(lab: RegistryLab): readonly number[] {
  const entries = [...lab.state.kprobeTable.values()].filter((entry) => entry.opt?.isOptimized === true);
  return entries.map((entry) => entry.addr - lab.at(F)).sort((a, b) => a - b);
}

const probe = (lab: RegistryLab, offset: number, options = {}): string =>
  lab.attach('kprobe', `${F}+${offset}`, options).id;

describe('an optimized kprobe', () => {
  it('replaces five bytes or more of whole instructions that may run elsewhere', async () => {
    const lab = await newLab();
    // push %r12, push %rbp, mov %rdi,%rbp: six bytes.
    probe(lab, 9);
    assert.deepEqual(optimized(lab), [9]);
  });

  for (const [offset, why] of [
    [4, 'it is an ftrace site'],
    [25, 'a conditional jump is among the instructions'],
    [41, 'it would replace a conditional jump'],
    [49, 'the function jumps to the byte behind its fourth'],
    [60, 'ret cannot run elsewhere'],
  ] as const)
    it(`is none at +${offset}: ${why}`, async () => {
      const lab = await newLab();
      probe(lab, offset);
      assert.deepEqual(optimized(lab), []);
    });

  it('is none before a jump label, whose bytes are reserved', async () => {
    const lab = await newLab();
    // The five bytes at +18 end where the label begins; with four of them it would be among those replaced.
    probe(lab, 18);
    assert.deepEqual(optimized(lab), [18]);
    probe(lab, 16);
    assert.deepEqual(optimized(lab), [18]);
  });

  it('gives way to an armed probe in what it replaces, and does not come back by itself when that one rests or leaves', async () => {
    const lab = await newLab();
    const outer = probe(lab, 9);
    const inner = probe(lab, 12);
    assert.deepEqual(optimized(lab), [12]);
    lab.setEnabled(inner, false);
    assert.deepEqual(optimized(lab), []);
    lab.setEnabled(inner, true);
    assert.deepEqual(optimized(lab), [12]);
    lab.detach(inner);
    assert.deepEqual(optimized(lab), []);
    lab.setEnabled(outer, false);
    lab.setEnabled(outer, true);
    assert.deepEqual(optimized(lab), [9]);
  });

  it('is none while a probe of its address has a post_handler or all of them rest', async () => {
    const lab = await newLab();
    const first = probe(lab, 9);
    const post = probe(lab, 9, { postHandler: true });
    assert.deepEqual(optimized(lab), []);
    lab.detach(post);
    assert.deepEqual(optimized(lab), [9]);
    lab.setEnabled(first, false);
    assert.deepEqual(optimized(lab), []);
  });

  it('is none while debug.kprobes-optimization is 0', async () => {
    const lab = await newLab();
    probe(lab, 9);
    lab.sysctl('debug.kprobes-optimization', 0);
    assert.deepEqual(optimized(lab), []);
    lab.sysctl('debug.kprobes-optimization', 1);
    assert.deepEqual(optimized(lab), [9]);
  });

  it('is none in a function that has an exception-table entry anywhere', async () => {
    const image = await builtinImage();
    const at = image.symbols.offsetOf(F);
    assert.ok(at !== undefined);
    const lab = new RegistryLab({ ...image, exceptionTable: Uint32Array.of(at + 56) }, 'safe');
    probe(lab, 9);
    assert.deepEqual(optimized(lab), []);
  });

  it('is none in a function that cannot be decoded to its end', async () => {
    const image = await builtinImage();
    const at = image.symbols.offsetOf(F);
    assert.ok(at !== undefined);
    // 115 bytes of padding behind the ret become the first byte of a VEX prefix each.
    const cut = new RegistryLab(withBytes(image, at + 61, 'c4'.repeat(115)), 'safe');
    probe(cut, 9);
    assert.deepEqual(optimized(cut), []);
  });
});
