import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { problemsOf, ROOMS } from './rules.ts';
import { ROOT, readSource, type SourceFile, walk } from './source-tree.ts';

const FOLDERS = ['src', 'test', 'scripts', 'bench', 'examples'];
const files = FOLDERS.flatMap((folder) => walk(folder, '.ts')).map(readSource);

test('no file breaks a rule of the house', () => {
  assert.deepEqual(files.flatMap(problemsOf), []);
});

test('every room is known, has an index and more than one file', () => {
  for (const room of readdirSync(join(ROOT, 'src'))) {
    assert.ok(ROOMS.includes(room as never), `src/${room} is not a room`);
    const inside = walk(`src/${room}`, '.ts').filter((path) => !path.endsWith('.test.ts'));
    assert.ok(inside.length > 1, `src/${room} has one file`);
    if (room !== 'cli') assert.ok(inside.includes(`src/${room}/index.ts`), `src/${room} has no index.ts`);
  }
});

test('each room is described in docs/architecture.md', () => {
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  for (const room of readdirSync(join(ROOT, 'src')))
    assert.match(page, new RegExp(`\`${room}/\``), `${room}/ is missing`);
});

test('no committed text names a machine or a registry', () => {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  assert.doesNotMatch(lock, /"resolved"/);
});

/** The checks themselves are checked: each of these must be reported. */
const WRONG: readonly (SourceFile & { readonly expected: RegExp })[] = [
  {
    path: 'src/insn/a.ts',
    text: "import { x } from '../registry/index.ts';",
    expected: /insn must not import registry/,
  },
  { path: 'src/registry/a.ts', text: "import { x } from '../insn/encode.ts';", expected: /past its index\.ts/ },
  { path: 'src/registry/a.ts', text: "import { Mutex } from 'async-mutex';", expected: /async-mutex belongs to/ },
  { path: 'src/jit/a.ts', text: "import { Decoder } from 'iced-x86';", expected: /iced-x86 belongs to/ },
  { path: 'src/server/a.ts', text: 'const t = Date.now();', expected: /Date\.now outside base/ },
  { path: 'src/textpoke/a.ts', text: 'const r = Math.random();', expected: /Math\.random outside base/ },
  { path: 'src/cli/a.ts', text: "import { x } from '../server/index.ts';", expected: /cli must not import server/ },
  { path: 'src/cli/a.ts', text: "import { x } from '../base/index.ts';", expected: /cli must not import base/ },
  {
    path: 'src/server/a.ts',
    text: "import { x } from '../client/index.ts';",
    expected: /server must not import client/,
  },
  { path: 'src/base/a.ts', text: 'x\n'.repeat(402), expected: /402|403 lines/ },
  { path: 'src/base/a.ts', text: `function long() {\n${'  x();\n'.repeat(80)}}\n`, expected: /a function of 82 lines/ },
  { path: 'src/base/a.ts', text: `// ${'TO'}${'DO'} later`, expected: /unfinished note/ },
];

for (const { expected, ...file } of WRONG)
  test(`canary: ${file.text.split('\n', 1)[0]} in ${file.path} is reported`, () => {
    assert.match(problemsOf(file).join('\n'), expected);
  });
