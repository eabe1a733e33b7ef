/**
 * The journal's file, cut short and written over. Goal: damage that LMDB would not survive is found before LMDB sees it. Method: 300 random pieces of
 * a file that holds records are overwritten; what is not refused has to open, and to be read to its end.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { seededPrng } from '../../src/base/index.ts';
import { openJournalFolder } from '../../src/journal/folder.ts';
import { lmdbFileDamage } from '../../src/journal/lmdb-file.ts';
import { JOURNAL_FILE } from '../../src/journal/lmdb-store.ts';
import { recordKey } from '../../src/journal/store.ts';

const SEED = Number(process.env['DAMAGE_SEED'] ?? 5);

it(`a data directory whose file was cut or overwritten is refused, and the process lives (DAMAGE_SEED=${SEED})`, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'ktextd-damage-'));
  t.after(() => rmSync(root, { recursive: true }));
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
  const random = seededPrng(SEED);
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
