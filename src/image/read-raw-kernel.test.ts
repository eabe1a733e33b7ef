import assert from 'node:assert/strict';
import test from 'node:test';
import { writeElf } from '../../test/image/elf-writer.ts';
import {
  functionOffset,
  SYNTHETIC_BASE,
  SYNTHETIC_RELEASE,
  type SyntheticOptions,
  syntheticKernel,
} from '../../test/image/synthetic-kernel.ts';
import { symbolName } from './raw-symbols.ts';
import { parseVersion, type RawKernelWithSymbols, readElfKernel, readRawKernel } from './read-raw-kernel.ts';

function read(options: SyntheticOptions = {}): RawKernelWithSymbols {
  const result = readElfKernel(syntheticKernel(options).elf);
  assert.ok(result.ok, result.ok ? '' : result.fault.detail);
  return result.value;
}

test('release, version, base and symbols come out of kallsyms', () => {
  const kernel = read();
  assert.equal(kernel.release, SYNTHETIC_RELEASE);
  assert.deepEqual(kernel.version, { major: 6, minor: 12, patch: 0 });
  assert.equal(kernel.base, SYNTHETIC_BASE);
  assert.equal(kernel.symbolOffset('fn_7'), functionOffset(7));
  assert.equal(kernel.symbolAddress('per_cpu_thing'), 0x1000n);
  assert.equal(kernel.symbolOffset('per_cpu_thing'), undefined);
  assert.equal(kernel.symbolOffset('unknown'), undefined);
  assert.equal(kernel.describe(functionOffset(9) + 3), 'fn_9+0x3');
});

test('.symtab is as good as kallsyms', () => {
  const [kallsyms, symtab] = [read(), read({ symbols: 'symtab' })];
  const names = (kernel: RawKernelWithSymbols): string[] =>
    Array.from({ length: kernel.symbols.count }, (_, i) => symbolName(kernel.symbols, i)).sort();
  assert.deepEqual(names(symtab), names(kallsyms));
  assert.deepEqual(symtab.symbols.addresses, kallsyms.symbols.addresses);
  const letter = (name: string): string =>
    String.fromCharCode(
      symtab.symbols.types[
        Array.from({ length: symtab.symbols.count }, (_, i) => symbolName(symtab.symbols, i)).indexOf(name)
      ] as number,
    );
  assert.deepEqual([letter('fn_1'), letter('twin'), letter('key')], ['T', 't', 'd']);
});

test('bytes are read across the link range, wholly inside one section or not at all', () => {
  const kernel = read();
  const text = kernel.section('.text');
  assert.ok(text);
  assert.deepEqual(kernel.read(functionOffset(0), 4), Uint8Array.of(0xf3, 0x0f, 0x1e, 0xfa));
  assert.equal(kernel.read(text.bytes.length - 1, 2), undefined);
  assert.equal(kernel.read(-1, 1), undefined);
  assert.equal(kernel.section('.data..percpu')?.offset, undefined);
  assert.equal(kernel.section('.nothing'), undefined);
});

test('a kernel without any symbols is unsupported, with the source in front', async () => {
  const result = await readRawKernel(syntheticKernel({ symbols: 'none' }).elf, 'some/file');
  assert.deepEqual(
    !result.ok && [result.fault.rule, result.fault.detail.startsWith('some/file: a kernel with neither')],
    ['image.unsupported', true],
  );
});

test('an ELF that is no kernel is malformed', () => {
  const noText = readElfKernel(
    writeElf([{ name: '.data', address: SYNTHETIC_BASE, flags: 'WA', bytes: new Uint8Array(64) }]),
  );
  assert.equal(!noText.ok && noText.fault.rule, 'image.unsupported');
});

test('versions are the numbers at the front of a release', () => {
  assert.deepEqual(parseVersion('6.12.117+deb12-cloud-amd64'), { major: 6, minor: 12, patch: 117 });
  assert.deepEqual(parseVersion('7.0-rc3'), { major: 7, minor: 0, patch: 0 });
  assert.equal(parseVersion('next-2026'), undefined);
  const banner = '(gcc (Debian 12.2.0-14) 12.2.0) # SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)';
  assert.deepEqual(parseVersion('6.1.0-55-cloud-amd64', banner), { major: 6, minor: 1, patch: 192 });
});
