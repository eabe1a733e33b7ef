import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Result } from '../base/index.ts';
import { openCoordinator } from './open-coordinator.ts';
import { COORDINATOR_RULES } from './rules.ts';
import type { Coordinator } from './service.ts';

const BUILTIN = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ktextd-open-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const open = (image: string, profile = 'max'): Promise<Result<Coordinator>> =>
  openCoordinator({ image, profile, strictness: 'safe', onProgress: () => undefined });

/** The builtin kernel, cut off behind its ELF header and program headers. */
const truncated = (): string => file('truncated', readFileSync(BUILTIN).subarray(0, 2_000));

const CASES: Readonly<Record<string, () => Promise<Result<Coordinator>>>> = {
  'image.unreadable': () => open(join(folder, 'nothing')),
  'image.unsupported': () => open(folder),
  'image.malformed': () => open(truncated()),
  'profile.unknown': () => open('builtin', 'no-such-profile'),
  'profile.invalid': () => open('builtin', file('profile.json', '{"name": "x", "cpu": 3}')),
};

describe('opening a kernel', () => {
  it('gives a coordinator whose text nobody has changed', async () => {
    const opened = await open('builtin');
    assert.ok(opened.ok);
    const { source, release, profile, kernel } = opened.value.image();
    assert.deepEqual([source, release, profile, kernel], ['builtin', '6.12.0-ktextd', 'max', '6.12']);
    assert.equal(opened.value.audit().differing, 0);
    await opened.value.close();
  });

  it('takes a profile from a file', async () => {
    const profile = { name: 'mine', cpu: [], vulnerabilities: {}, cmdline: '' };
    const opened = await open('builtin', file('mine.json', JSON.stringify(profile)));
    assert.ok(opened.ok, opened.ok ? '' : opened.fault.detail);
    assert.equal(opened.value.image().profile, 'mine');
  });

  for (const [id, refuse] of Object.entries(CASES))
    it(`${id}: one line, and a rule that explains it`, async () => {
      const opened = await refuse();
      assert.ok(!opened.ok);
      assert.equal(opened.fault.rule, id, opened.fault.detail);
      assert.match(opened.fault.detail, /^[^\n]{10,300}$/);
      assert.ok(COORDINATOR_RULES.has(id));
    });

  it('a file that is no kernel is malformed', async () => {
    const opened = await open(file('text', 'not a kernel'));
    assert.equal(!opened.ok && opened.fault.rule, 'image.malformed');
  });

  it('a profile that is not JSON is invalid', async () => {
    const opened = await open('builtin', file('broken.json', '{'));
    assert.equal(!opened.ok && opened.fault.rule, 'profile.invalid');
  });

  it('has a case for every rule about images and profiles', () => {
    const rules = [...COORDINATOR_RULES.keys()].filter((id) => /^(image|profile)\./.test(id));
    assert.deepEqual(Object.keys(CASES).sort(), rules.sort());
  });
});
