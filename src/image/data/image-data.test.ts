import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { builtinImage } from '../../../test/support/images.ts';
import { dataRequest, readImageData } from './image-data.ts';

const BUILTIN = fileURLToPath(new URL('../../../fixtures/builtin/vmlinux', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'ktextd-data-'));
after(() => rmSync(folder, { recursive: true }));

describe('data of an image', () => {
  it('has the sections that stay after boot, in shared memory', async () => {
    const data = await readImageData(dataRequest(await builtinImage(), BUILTIN));
    assert.ok(data.ok);
    const names = data.value.sections.map(({ name }) => name);
    for (const name of ['.rodata', '.data', '.bss', '.data..percpu']) assert.ok(names.includes(name), name);
    for (const name of ['.text', '.init.data', '.BTF', '.altinstructions']) assert.ok(!names.includes(name), name);
    assert.ok(
      data.value.sections.every(({ bytes, size }) => bytes.buffer instanceof SharedArrayBuffer && bytes.length <= size),
    );
  });

  it('refuses a file that is gone or another one now', async () => {
    const image = await builtinImage();
    const gone = await readImageData(dataRequest(image, join(folder, 'none')));
    assert.equal(!gone.ok && gone.fault.rule, 'image.unreadable');
    const path = join(folder, 'changed');
    writeFileSync(path, 'another kernel');
    const changed = await readImageData(dataRequest(image, path));
    assert.equal(!changed.ok && changed.fault.rule, 'call.image.changed');
  });
});
