import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openLmdbStore } from './lmdb-store.ts';
import { recordKey } from './store.ts';

const RECORD = new Uint8Array(60_000).fill(7);
const one = (number: number) => ({ puts: [{ key: recordKey(number), value: RECORD }] });

/** A file system of 512 KiB; undefined where this user may not mount one. */
function smallDisk(): { readonly folder: string; grow(): void; remove(): void } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-disk-'));
  const mount = (options: string): void => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'ignore' });
  };
  try {
    mount('size=512k');
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  return {
    folder,
    grow: () => mount('remount,size=8m'),
    remove: () => {
      execFileSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true });
    },
  };
}

describe('an LMDB store', () => {
  it('keeps what was committed, refuses when the disk is full, and goes on when there is room', async (t) => {
    const disk = smallDisk();
    if (disk === undefined) return t.skip('this user may not mount a file system');
    try {
      const store = await openLmdbStore(disk.folder);
      let kept = 0;
      const fill = async (): Promise<void> => {
        for (;;) {
          await store.commit(one(kept + 1));
          kept += 1;
        }
      };
      await assert.rejects(fill(), { code: 'ENOSPC' });
      await assert.rejects(store.commit(one(kept + 1)), { code: 'ENOSPC' });
      assert.ok(kept > 1 && store.get(recordKey(kept)) !== undefined);
      assert.equal(store.get(recordKey(kept + 1)), undefined, 'nothing of a commit that failed');
      disk.grow();
      await store.commit(one(kept + 1));
      assert.deepEqual(store.get(recordKey(kept + 1)), Buffer.from(RECORD));
      await store.close();
      const again = await openLmdbStore(disk.folder);
      assert.equal([...again.entries('record')].length, kept + 1);
      await again.close();
    } finally {
      disk.remove();
    }
  });
});
