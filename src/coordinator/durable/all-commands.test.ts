import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { COMMANDS } from './all-commands.ts';

/** What a journal cannot run again is lost at the next start. */
describe('the commands that a journal may hold', () => {
  it('are all that the coordinator has', () => {
    const folder = new URL('../', import.meta.url);
    const list = readFileSync(new URL('durable/all-commands.ts', folder), 'utf8');
    const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
    const names = files.flatMap((name) =>
      [...readFileSync(new URL(name, folder), 'utf8').matchAll(/const ([A-Z_]+): Command</g)].map((match) => match[1]),
    );
    assert.ok(names.length >= 5);
    for (const name of names) assert.match(list, new RegExp(`\\b${name}\\b`), `${name} is not in all-commands.ts`);
    assert.equal(COMMANDS.size, names.length, 'no two commands share a kind');
  });
});
