import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelAddress } from '../../base/index.ts';
import { disassemble } from '../../insn/index.ts';
import { generateCountingDirectTrampoline, generateCountingHandler, generateReplacement } from './counting-handler.ts';

const BASE = kernelAddress(0xffff_ffff_8100_0000n);
const listing = (bytes: Uint8Array, at: number): readonly string[] =>
  disassemble(bytes, at, BASE).map((insn) => insn.text.replace(/\s+/g, ' '));

test('the callback counts behind an endbr64 and returns', () => {
  const at = 0x3f00_0000;
  const bytes = generateCountingHandler({ at, counter: 0xffffc90000000010n, cpu: { sls: true, ibt: true } });
  const text = listing(bytes, at).join('; ');
  assert.match(text, /^endbr64; mov(abs)? \$0xffffc90000000010,%rax; lock incq \(%rax\); ret.*; int3$/);
});

test('the direct trampoline gives back every register and returns through the thunk', () => {
  const at = 0x3f00_0000;
  const bytes = generateCountingDirectTrampoline({
    at,
    counter: 0xffffc90000000010n,
    cpu: { sls: true, ibt: true, returnThunk: 0x1000 },
  });
  const text = listing(bytes, at);
  const pushes = text.filter((line) => line.startsWith('push')).map((line) => line.slice(5));
  const pops = text.filter((line) => line.startsWith('pop')).map((line) => line.slice(4));
  assert.deepEqual(pops, [...pushes].reverse());
  assert.equal(text.at(-1), 'jmp ffffffff81001000');
});

test('a replacement returns its constant', () => {
  const bytes = generateReplacement({ at: 0x3f00_0000, returns: 0x6b70, cpu: { sls: false, ibt: false } });
  assert.deepEqual(listing(bytes, 0x3f00_0000), ['mov $0x6b70,%eax', 'ret']);
});
