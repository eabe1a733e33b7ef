import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock, type Result } from '../base/index.ts';
import { openJournalFolder } from './folder.ts';
import { JOURNAL_FILE } from './lmdb-store.ts';
import { openJournal } from './open-journal.ts';
import { recordKey, type StoreKey, snapshotKey } from './store.ts';
import { checkJournal, exportJournal, importJournal, repairJournal } from './tools.ts';

const IDENTITY = { image: 'ab', release: '6.12-test', profile: 'max', strictness: 'safe', madeBy: '1' };

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : result.fault.detail);
  return result.value;
}

const ruleOf = (result: Result<unknown>): string | undefined => (result.ok ? undefined : result.fault.rule);

describe('the journal tools', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ktextd-tools-'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** Records 1 to 9, snapshots 3 and 6; with `kept` 1 only the last snapshot and what is behind it. */
  async function make(folder: string, kept = 16): Promise<void> {
    const { store, close } = value(await openJournalFolder(folder));
    const clock = new ManualClock();
    const { journal } = value(await openJournal({ store, identity: IDENTITY, clock, snapshotsKept: kept }));
    for (let n = 1; n <= 9; n++) {
      await journal.append({ n });
      if (n === 3 || n === 6) journal.snapshot(JSON.stringify({ at: n }));
      await journal.drain();
    }
    await close();
  }

  async function damage(folder: string, key: StoreKey): Promise<void> {
    const { store, close } = value(await openJournalFolder(folder));
    await store.commit({ puts: [{ key, value: Uint8Array.of(1, 2, 3, 4, 5, 6, 7) }] });
    await close();
  }

  it('check says all that is wrong and changes nothing', async () => {
    await make(root);
    assert.deepEqual(value(await checkJournal(root)), {
      identity: IDENTITY,
      records: { first: 1, last: 9 },
      snapshots: [3, 6],
      damage: [],
    });
    await damage(root, recordKey(5));
    await damage(root, snapshotKey(3));
    for (let turn = 0; turn < 2; turn++)
      assert.deepEqual(
        value(await checkJournal(root)).damage.map(({ where }) => where),
        ['snapshot 3', 'record 5'],
      );
    assert.equal(ruleOf(await checkJournal(join(root, 'nothing'))), 'journal.unusable');
    assert.equal(existsSync(join(root, 'nothing')), false);
  });

  it('repair keeps a copy and cuts at the first damaged record', async () => {
    await make(root);
    assert.deepEqual(value(await repairJournal(root)).dropped, []);
    await damage(root, recordKey(5));
    const { copy, dropped, report } = value(await repairJournal(root));
    assert.deepEqual(dropped, ['record 5', 'record 6', 'record 7', 'record 8', 'record 9', 'snapshot 6']);
    assert.deepEqual([report.records, report.snapshots, report.damage], [{ first: 1, last: 4 }, [3], []]);
    assert.equal(copy, join(root, `${JOURNAL_FILE}.damaged-1`));
    assert.ok(existsSync(copy ?? ''));
  });

  it('repair goes on from a whole snapshot, and refuses when there is none', async () => {
    await make(root, 1);
    await damage(root, recordKey(8));
    assert.deepEqual(value(await repairJournal(root)).report.records, { first: 7, last: 7 });
    await damage(root, snapshotKey(6));
    assert.equal(ruleOf(await repairJournal(root)), 'journal.corrupt');
  });

  it('what was exported can be imported, elsewhere', async () => {
    await make(root);
    const lines: string[] = [];
    assert.equal(value(await exportJournal(root, (line) => lines.push(line))), 12);
    const other = join(root, 'other');
    assert.deepEqual(value(await importJournal(other, lines.join(''))), value(await checkJournal(root)));
    const again: string[] = [];
    value(await exportJournal(other, (line) => again.push(line)));
    assert.deepEqual(again, lines);
    assert.equal(ruleOf(await importJournal(other, lines.join(''))), 'journal.unusable');
  });

  it('a damaged export imports nothing, and says which line', async () => {
    for (const [text, pattern] of [
      ['', /Line 1 .* missing/],
      ['{"kind":"record","number":1}\n', /Line 1 .* not `meta`/],
      ['{"kind":"meta","value":{}}\n{"kind":"record"}\n', /Line 2 .* neither/],
      ['{"kind":"meta","value":{}}\n{"kind":\n', /Line 2 .* not JSON/],
    ] as const) {
      const refused = await importJournal(join(root, 'new'), text);
      assert.ok(!refused.ok);
      assert.match(refused.fault.detail, pattern);
      assert.equal(existsSync(join(root, 'new')), false);
    }
  });

  it('a journal in use, or whose file is damaged, is left alone', async () => {
    await make(root);
    const opened = value(await openJournalFolder(root));
    assert.equal(ruleOf(await repairJournal(root)), 'journal.in-use');
    await opened.close();
    writeFileSync(join(root, JOURNAL_FILE), 'x'.repeat(10_000));
    assert.equal(ruleOf(await repairJournal(root)), 'journal.corrupt');
  });
});
