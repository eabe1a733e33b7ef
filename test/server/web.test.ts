/** The page: its files are served with their types, it loads nothing from elsewhere, and its scripts parse. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testApp } from './support.ts';

const FOLDER = fileURLToPath(new URL('../../web/', import.meta.url));

test('every file is served with its type and a policy that allows nothing foreign', async () => {
  const { get } = await testApp();
  const types: Readonly<Record<string, RegExp>> = {
    html: /^text\/html/,
    css: /^text\/css/,
    js: /^text\/javascript/,
    svg: /^image\/svg/,
  };
  for (const name of readdirSync(FOLDER)) {
    const response = await get(name === 'index.html' ? '/' : `/${name}`);
    assert.equal(response.statusCode, 200, name);
    assert.match(String(response.headers['content-type']), types[name.split('.').at(-1) ?? ''] ?? /^$/);
    assert.match(String(response.headers['content-security-policy']), /^default-src 'self'/);
    assert.equal(response.body, readFileSync(FOLDER + name, 'utf8'));
  }
});

test('the page names no foreign address and has no inline script or style', () => {
  for (const name of readdirSync(FOLDER)) {
    const text = readFileSync(FOLDER + name, 'utf8').replaceAll('http://www.w3.org/2000/svg', '');
    assert.doesNotMatch(text, /https?:\/\/|\/\/cdn|innerHTML|eval\(/, name);
  }
  const html = readFileSync(`${FOLDER}index.html`, 'utf8');
  assert.doesNotMatch(html, /<script>|style="|onclick=/);
});

test('elements that the scripts look up exist in the page', () => {
  const html = readFileSync(`${FOLDER}index.html`, 'utf8');
  const scripts = readdirSync(FOLDER).filter((n) => n.endsWith('.js'));
  const ids = scripts.flatMap((n) =>
    [...readFileSync(FOLDER + n, 'utf8').matchAll(/(?:byId|getElementById)\('([\w-]+)'\)/g)].map((m) => m[1]),
  );
  assert.ok(ids.length > 10);
  for (const id of ids) assert.ok(html.includes(`id="${id}"`), `#${id}`);
});
