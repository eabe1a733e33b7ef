import assert from 'node:assert/strict';
import test from 'node:test';
import { toHex } from '../../base/index.ts';
import type { RawKernel } from '../raw-kernel.ts';
import { readOptprobeTemplate } from './optprobe-template.ts';

const LABELS = { entry: 0x100, clac: 0x104, val: 0x125, call: 0x12f, end: 0x164 };

const kernel = (labels: Readonly<Record<string, number>>): RawKernel =>
  ({
    symbolOffset: (name: string) => labels[name.replace('optprobe_template_', '')],
    read: (offset: number, length: number) => (offset === 0x100 ? new Uint8Array(length).fill(0x90) : undefined),
  }) as unknown as RawKernel;

test('labels become places in the template', () => {
  assert.deepEqual(readOptprobeTemplate(kernel(LABELS)), {
    bytes: toHex(new Uint8Array(100).fill(0x90)),
    clac: 4,
    val: 37,
    call: 47,
  });
});

test('a kernel without a label, with labels out of order or without the bytes has no template', () => {
  const { call: _, ...without } = LABELS;
  assert.equal(readOptprobeTemplate(kernel(without)), undefined);
  assert.equal(readOptprobeTemplate(kernel({ ...LABELS, val: 0x130 })), undefined);
  assert.equal(readOptprobeTemplate(kernel({ ...LABELS, end: 0x1000 })), undefined);
  assert.equal(readOptprobeTemplate(kernel({ ...LABELS, entry: 0x101 })), undefined);
});
