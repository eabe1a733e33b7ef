import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { seededPrng } from '../base/index.ts';
import { openJournalFolder } from './folder.ts';
import { lmdbFileDamage } from './lmdb-file.ts';
import { JOURNAL_FILE } from './lmdb-store.ts';
import { recordKey } from './store.ts';

describe('a data directory', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ktextd-data-'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it('is made, and used by one at a time', async () => {
    for (const folder of [join(root, 'a', 'b'), join(root, 'long'.repeat(30))]) {
      const first = await openJournalFolder(folder);
      assert.ok(first.ok);
      const second = await openJournalFolder(folder);
      assert.ok(!second.ok);
      assert.equal(second.fault.rule, 'journal.in-use');
      await first.value.close();
      const third = await openJournalFolder(folder);
      assert.ok(third.ok);
      await third.value.close();
    }
  });

  it('is taken over from a process that is gone', async () => {
    writeFileSync(join(root, 'lock'), '');
    const opened = await openJournalFolder(root);
    assert.ok(opened.ok);
    await opened.value.close();
  });

  it('that is a file, or holds something else, is refused', async () => {
    const file = join(root, 'file');
    writeFileSync(file, 'x');
    const refused = await openJournalFolder(file);
    assert.ok(!refused.ok);
    assert.equal(refused.fault.rule, 'journal.unusable');
    writeFileSync(join(root, 'journal.mdb'), 'no database, but long enough to be read as one'.repeat(1000));
    const other = await openJournalFolder(root);
    assert.ok(!other.ok);
    assert.equal(other.fault.rule, 'journal.corrupt');
  });

  it('whose file was cut or overwritten is refused, and the process lives', async () => {
    const file = join(root, JOURNAL_FILE);
    const opened = await openJournalFolder(root);
    assert.ok(opened.ok);
    const puts = Array.from({ length: 400 }, (_, i) => ({ key: recordKey(i), value: new Uint8Array(i * 13).fill(i) }));
    for (let i = 0; i < puts.length; i += 100) await opened.value.store.commit({ puts: puts.slice(i, i + 100) });
    await opened.value.close();
    const whole = readFileSync(file);
    assert.equal(lmdbFileDamage(file), undefined);
    for (const length of [1, 100, 4096, 8192, 40_000, whole.length >> 1]) {
      writeFileSync(file, whole.subarray(0, length));
      assert.notEqual(lmdbFileDamage(file), undefined, `cut to ${length}`);
    }
    const random = seededPrng(5);
    for (let run = 0; run < 300; run++) {
      const bytes = Buffer.from(whole);
      const at = random.below(bytes.length);
      bytes.fill(random.below(256), at, at + 1 + random.below(64));
      writeFileSync(file, bytes);
      // No damage found: then LMDB can be let at it, and only values may differ.
      if (lmdbFileDamage(file) !== undefined) continue;
      const again = await openJournalFolder(root);
      assert.ok(again.ok);
      assert.ok([...again.value.store.entries('record')].length <= puts.length);
      await again.value.close();
    }
  });
});
