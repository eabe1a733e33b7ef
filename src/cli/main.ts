#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { processIo } from './io.ts';
import { run } from './program.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

// A reader that goes away (`ktextd events | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
try {
  process.exitCode = await run(process.argv.slice(2), processIo, version);
} catch (error) {
  // A bug of ours; 1 would say that a rule refused.
  processIo.err(`ktextd: ${(error as Error).stack ?? String(error)}\n`);
  process.exitCode = 4;
}
