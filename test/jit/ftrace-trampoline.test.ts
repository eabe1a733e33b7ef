/** The private ftrace callers made from real kernels, read back with iced. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disassemble } from '../../src/insn/index.ts';
import { ftraceCallerSymbols, generateFtraceTrampoline } from '../../src/jit/index.ts';
import { loadedKernel } from '../insn/kernel.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';

const OPS = 0xffff_8880_1234_5678n;
const AT = 0x3f00_0040;

for (const [name, layout] of [
  [RECORDED_6_12, 'linux-6.12'],
  [RECORDED_6_1, 'linux-6.1'],
] as const) {
  const kernel = realKernel(name);
  test(`${name}: ftrace_caller and ftrace_regs_caller`, { skip: kernel.skip }, async () => {
    const image = await loadedKernel(kernel.path);
    const target = image.symbols.offsetOf('ftrace_ops_assist_func');
    assert.ok(target !== undefined);
    for (const saveRegs of [false, true]) {
      const symbols = ftraceCallerSymbols((symbol) => image.symbols.offsetOf(symbol), saveRegs);
      assert.ok(symbols !== undefined);
      const made = generateFtraceTrampoline({
        layout,
        text: image.pristine,
        symbols,
        at: AT,
        ops: OPS,
        target,
        cpu: { sls: true, ibt: layout === 'linux-6.12' },
      });
      assert.ok(made.ok, made.ok ? '' : made.fault.detail);
      const size = symbols.end - symbols.start;
      const bytes = made.value;
      assert.equal(bytes.length, size + 13);

      const symbolize = (address: bigint): string =>
        address === image.base + BigInt(AT + size + 5) ? 'ops' : `+0x${(address - image.base).toString(16)}`;
      const lines = disassemble(bytes.subarray(0, size + 5), AT, image.base, symbolize);
      const original = disassemble(image.pristine.bytes(symbols.start, size), symbols.start, image.base, symbolize);
      const text = lines.map((line) => line.text);
      assert.equal(text.filter((line) => line === '(bad)').length, 0);
      assert.equal(text.filter((line) => line.endsWith('<ops>')).length, 1);
      assert.match(text.find((line) => line.endsWith('<ops>')) ?? '', /^mov {4}0x[0-9a-f]+\(%rip\),%rdx/);
      assert.equal(lines.find((line) => line.text.startsWith('call'))?.target, target);
      assert.deepEqual(text.slice(-5), ['ret', 'int3', 'int3', 'int3', 'int3']);

      // Nothing but the load, the call, the jump to the tail and joined nops differs from the shared caller.
      const kept = (line: { readonly text: string }): boolean =>
        !/nop|xchg +%ax,%ax|^jne|^call|<ops>|\(%rip\)/.test(line.text);
      assert.deepEqual(
        lines
          .slice(0, -5)
          .filter(kept)
          .map((line) => line.text),
        original.filter(kept).map((line) => line.text),
      );
      assert.equal(
        text.some((line) => line.startsWith('jne')),
        false,
      );
    }
  });
}
