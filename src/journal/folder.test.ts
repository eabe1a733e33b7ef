import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openJournalFolder } from './folder.ts';

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
});
