/**
 * Runs the project's tests with node:test.
 *
 *   tsx scripts/test.ts [--concurrency N] PATH...
 *
 * Node 20's `node --test` neither expands globs nor finds `.ts` files, so this collects every `*.test.ts` below the given
 * files and folders and hands them to the runner; each file is one process, as `node --test` does it.
 */
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { concurrency: { type: 'string', default: '2' }, coverage: { type: 'boolean', default: false } },
});

function collect(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const child = join(path, entry.name);
    if (entry.isDirectory()) return collect(child);
    return entry.name.endsWith('.test.ts') ? [child] : [];
  });
}

const files = [...new Set(positionals.flatMap(collect))].sort();
if (files.length === 0) {
  process.stderr.write(`no *.test.ts below ${positionals.join(' ') || '(no path given)'}\n`);
  process.exit(2);
}

const reporter = process.stdout.isTTY ? 'spec' : 'dot';
const args = [
  '--import',
  'tsx',
  '--test',
  `--test-concurrency=${values.concurrency}`,
  `--test-reporter=${process.env['TEST_REPORTER'] ?? reporter}`,
  '--test-reporter-destination=stdout',
  ...(values.coverage ? ['--experimental-test-coverage'] : []),
  ...files,
];
const child = spawn(process.execPath, args, { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
