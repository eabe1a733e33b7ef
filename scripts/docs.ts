/**
 * Writes the generated documentation: a page for every rule (docs/rules/) and for every bug that the explorer must find (docs/mutants/), the BPF
 * instructions (docs/bpf-isa.md), the list of the simulated CPUs' instructions (docs/cpu-forms.md) and the picture of the rooms (docs/rooms.svg).
 *
 *   tsx scripts/docs.ts           writes
 *   tsx scripts/docs.ts --check   exits with 1 when what is committed differs from what would be written
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpuFormsPage } from './docs/cpu-forms.ts';
import { isaPage } from './docs/isa-page.ts';
import { mutantPages } from './docs/mutant-pages.ts';
import { drawRooms } from './docs/rooms-picture.ts';
import { rulePages } from './docs/rule-pages.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const isCheck = process.argv.includes('--check');

const wanted = new Map<string, string>([
  ...rulePages(),
  ...mutantPages(),
  isaPage(),
  cpuFormsPage(),
  ['docs/rooms.svg', drawRooms(ROOT)],
]);
const stale = readdirSync(join(ROOT, 'docs'), { recursive: true })
  .map((name) => `docs/${String(name)}`)
  .filter((path) => /^docs\/(?:rules|mutants)\//.test(path) && path.endsWith('.md') && !wanted.has(path));
const differing = [...wanted].filter(([path, text]) => {
  const file = join(ROOT, path);
  return !existsSync(file) || readFileSync(file, 'utf8') !== text;
});

if (isCheck) {
  for (const path of [...stale, ...differing.map(([each]) => each)]) process.stderr.write(`out of date: ${path}\n`);
  if (stale.length + differing.length > 0) {
    process.stderr.write('run `npm run docs`\n');
    process.exitCode = 1;
  }
} else {
  for (const path of stale) rmSync(join(ROOT, path));
  for (const [path, text] of differing) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
  }
  process.stdout.write(`${wanted.size} pages, ${differing.length} written, ${stale.length} removed\n`);
}
