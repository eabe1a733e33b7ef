/** The edge's own rules: complete, in use, and each with a test. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ERRNO } from '../../src/base/index.ts';
import { EDGE_RULES } from '../../src/server/index.ts';
import { httpStatus } from '../../src/server/status.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function textOf(folder: string, isWanted: (name: string) => boolean): string {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return files
    .filter((name) => name.endsWith('.ts') && isWanted(name))
    .map((name) => readFileSync(join(ROOT, folder, name), 'utf8'))
    .join('\n');
}

const source = textOf('src/server', (name) => name !== 'rules.ts' && !name.endsWith('.test.ts'));
const tests = textOf('test/server', (name) => name !== 'rules.test.ts') + textOf('test/e2e', () => true);

for (const rule of EDGE_RULES) {
  test(`${rule.id} is documented, used and tested`, () => {
    assert.match(rule.id, /^[a-z]+(\.[a-z-]+)+$/);
    assert.ok(Object.hasOwn(ERRNO, rule.errno));
    for (const text of [rule.title, rule.what, rule.why, ...rule.remedies]) assert.ok(text.length > 10, text);
    assert.ok(rule.remedies.length > 0);
    assert.ok(httpStatus({ errno: rule.errno, rule: rule.id }) >= 400);
    assert.ok(source.includes(`'${rule.id}'`), 'nothing refuses with it');
    assert.ok(tests.includes(`'${rule.id}'`), 'no test expects it');
  });
}
