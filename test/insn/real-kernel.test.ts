/**
 * The decoder against real kernels: iced's opinion on every instruction of a stretch of .text, and the walk that kprobes make over
 * functions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KernelImage } from '../../src/image/index.ts';
import { icedLengths } from '../../src/insn/iced.ts';
import { canProbe, decodeInsn, insnLength, MAX_INSN_SIZE } from '../../src/insn/index.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { loadedKernel } from './kernel.ts';

const STRETCH = 3 << 20;
const FUNCTIONS = 400;

function textOf(image: KernelImage): { readonly start: number; readonly bytes: Uint8Array } {
  const text = image.pristine.ranges.find((range) => range.name === '.text');
  assert.ok(text !== undefined);
  return { start: text.start, bytes: image.pristine.bytes(text.start, text.length) };
}

/** Functions evenly spread over the table, with a size of at least 16 bytes. */
function someFunctions(image: KernelImage, bytes: Uint8Array): readonly { start: number; size: number }[] {
  const all: { start: number; size: number }[] = [];
  for (let i = 0; i < image.symbols.count; i += 1) {
    const { offset, size, type, name } = image.symbols.at(i);
    if (offset === undefined || size < 16 || (type !== 't' && type !== 'T')) continue;
    if (offset + size + MAX_INSN_SIZE > bytes.length || name.startsWith('__pfx_')) continue;
    all.push({ start: offset, size });
  }
  const step = Math.max(1, Math.floor(all.length / FUNCTIONS));
  return all.filter((_, i) => i % step === 0);
}

for (const name of [RECORDED_6_12, RECORDED_6_1]) {
  const kernel = realKernel(name);
  test(`${name}: decoder and boundaries`, { skip: kernel.skip }, async (t) => {
    const image = await loadedKernel(kernel.path);
    const { bytes } = textOf(image);

    await t.test('iced measures every instruction the same', (sub) => {
      const starts: number[] = [];
      const begun = performance.now();
      for (let at = 0; at < STRETCH; ) {
        const length = insnLength(bytes, at);
        assert.ok(length > 0, `nothing decodes at ${at}`);
        starts.push(at);
        at += length;
      }
      const took = performance.now() - begun;
      const differing = icedLengths(bytes, starts).flatMap((length, i) => {
        const at = starts[i] ?? 0;
        const insn = decodeInsn(bytes, at, at);
        assert.ok(insn !== undefined);
        // On purpose: Xen's forced-emulation prefix is part of an instruction to the kernel, and it measures what 64-bit mode refuses.
        const isOurs = insn.isForcedEmulation || (length === 0 && insn.isInvalid64);
        return length === insn.length || isOurs ? [] : [Buffer.from(bytes.subarray(at, at + 8)).toString('hex')];
      });
      assert.deepEqual(differing, []);
      sub.diagnostic(
        `${starts.length} instructions, ${(starts.length / took / 1000).toFixed(1)} million lengths a second`,
      );
    });

    await t.test('a walk over a function finds exactly its instruction starts', (sub) => {
      let asked = 0;
      let walked = 0;
      let endsExactly = 0;
      for (const { start, size } of someFunctions(image, bytes)) {
        const boundaries = new Set<number>();
        let end = start;
        for (; end < start + size; end += insnLength(bytes, end) || 1) boundaries.add(end);
        walked += 1;
        if (end === start + size) endsExactly += 1;
        for (let target = start; target < start + Math.min(size, 40); target += 1) {
          const probe = canProbe({
            start,
            target,
            readInsn: (at) => decodeInsn(bytes.subarray(at, at + MAX_INSN_SIZE), at),
          });
          const rule = probe.ok ? 'ok' : probe.fault.rule;
          assert.equal(boundaries.has(target), rule !== 'kprobe.boundary', `${start.toString(16)}+${target - start}`);
          asked += 1;
        }
      }
      sub.diagnostic(`${asked} offsets asked, ${endsExactly} of ${walked} walks end where the function ends`);
      assert.ok(asked > 5000);
      // A length that is wrong somewhere would carry the walk over the function's end (a few symbols in assembly end inside an instruction).
      assert.ok(endsExactly > walked * 0.98, `${endsExactly} of ${walked} walks end where the function ends`);
    });
  });
}
