import assert from 'node:assert/strict';
import test from 'node:test';
import { writeElf } from '../../test/image/elf-writer.ts';
import { readElf } from './elf.ts';

const sections = [
  { name: '.text', address: 0xffffffff81000000n, flags: 'AX', bytes: Uint8Array.of(0x90, 0xc3) },
  { name: '.bss', address: 0xffffffff82000000n, flags: 'WA', size: 0x1000 },
];

const refusalOf = (file: Uint8Array): string => {
  const result = readElf(file);
  assert.equal(result.ok, false);
  return result.ok ? '' : `${result.fault.rule} ${result.fault.detail}`;
};

test('sections come with flags, addresses and views of their bytes', () => {
  const result = readElf(writeElf(sections));
  assert.ok(result.ok);
  const [nul, text, bss] = result.value;
  assert.equal(nul?.name, '');
  assert.deepEqual(
    [text?.name, text?.address, text?.executable, text?.writable, [...(text?.bytes ?? [])]],
    ['.text', 0xffffffff81000000n, true, false, [0x90, 0xc3]],
  );
  assert.deepEqual([bss?.name, bss?.size, bss?.writable, bss?.bytes.length], ['.bss', 0x1000, true, 0]);
});

test('bytes after the sections (relocations) do not disturb', () => {
  const result = readElf(Buffer.concat([writeElf(sections), Buffer.alloc(5000, 7)]));
  assert.ok(result.ok);
});

test('other machines, widths, byte orders and types are unsupported', () => {
  const patched = (at: number, value: number): Uint8Array => {
    const file = writeElf(sections);
    file[at] = value;
    return file;
  };
  assert.match(refusalOf(patched(4, 1)), /^image\.unsupported .*32 bits/);
  assert.match(refusalOf(patched(5, 2)), /^image\.unsupported big-endian/);
  assert.match(refusalOf(writeElf(sections, { machine: 183 })), /^image\.unsupported ELF machine 183/);
  assert.match(refusalOf(writeElf(sections, { type: 1 })), /^image\.unsupported ELF type 1/);
});

test('headers that lie name the structure and the offset', () => {
  const damaged = (at: number, bytes: readonly number[]): Uint8Array => {
    const file = writeElf(sections);
    file.set(bytes, at);
    return file;
  };
  const table = Number(new DataView(writeElf(sections).buffer).getBigUint64(40, true));
  assert.match(refusalOf(Uint8Array.of(1, 2, 3)), /^image\.malformed ELF header at offset 0x0/);
  assert.match(refusalOf(writeElf(sections).slice(0, 63)), /^image\.malformed ELF header at offset 0x0/);
  assert.match(refusalOf(damaged(40, [0xff, 0xff, 0xff, 0xff])), /^image\.malformed ELF header at offset 0x28/);
  assert.match(refusalOf(damaged(60, [0xff, 0xff])), /^image\.malformed ELF header at offset 0x3c/);
  assert.match(refusalOf(damaged(62, [0x77])), /^image\.malformed ELF header at offset 0x3e/);
  assert.match(
    refusalOf(damaged(table + 64 + 24, [0xff, 0xff, 0xff, 0x7f])),
    /^image\.malformed ELF section header at offset/,
  );
  assert.match(refusalOf(damaged(table + 64, [0xff, 0xff])), /^image\.malformed section name at offset 0xffff/);
});

test('a copy of a section is a copy, also when the file came as a Buffer', () => {
  const file = Buffer.from(writeElf(sections));
  const result = readElf(file);
  assert.ok(result.ok);
  const text = result.value[1];
  text?.bytes.slice().fill(0);
  assert.deepEqual([...(text?.bytes ?? [])], [0x90, 0xc3]);
});
