/**
 * Runs the project's tests with node:test.
 *
 *   tsx scripts/test.ts [--concurrency N] [--one-process] PATH...
 *
 * Node 20's `node --test` neither expands globs nor finds `.ts` files, so this collects every `*.test.ts` below the given
 * files and folders and hands them to the runner. Each file is a process of its own, as `node --test` does it; with --one-process all
 * share one, which saves half a second of start for each and is meant for unit tests.
 */
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { concurrency: { type: 'string', default: '2' }, 'one-process': { type: 'boolean', default: false } },
});

function collect(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const below = join(path, entry.name);
    if (entry.isDirectory()) return collect(below);
    return entry.name.endsWith('.test.ts') ? [below] : [];
  });
}

const files = [...new Set(positionals.flatMap(collect))].sort();
if (files.length === 0) {
  process.stderr.write(`no *.test.ts below ${positionals.join(' ') || '(no path given)'}\n`);
  process.exit(2);
}

const reporter = process.env['TEST_REPORTER'] ?? (process.stdout.isTTY ? 'spec' : 'dot');
const options = ['--import', 'tsx', `--test-reporter=${reporter}`, '--test-reporter-destination=stdout'];
const imports = files.map((file) => `await import(${JSON.stringify(pathToFileURL(resolve(file)).href)});`);
const args = values['one-process']
  ? [...options, '--input-type=module', '--eval', imports.join('\n')]
  : [...options, '--test', `--test-concurrency=${values.concurrency}`, ...files];
const child = spawn(process.execPath, args, { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
