/** `npm run check`: everything that can be said in half a minute. */
import { node, runSteps, type Together } from './run-steps.ts';

const INCREMENTAL = ['--incremental', '--tsBuildInfoFile', '.cache/check.tsbuildinfo'] as const;

export const QUICK: Together = [
  { name: 'format and lint', command: ['npx', '--no-install', 'biome', 'ci', '--colors=off', '--error-on-warnings'] },
  {
    name: 'types',
    // What was found the last time is kept: a second check looks at what changed, and at what uses it. Several checkers would each find
    // the same types out for themselves, and the other core has tests to run.
    command: ['npx', '--no-install', 'tsc', '-p', 'tsconfig.json', '--checkers', '1', ...INCREMENTAL],
  },
  { name: 'generated documentation', command: node('scripts/docs.ts', '--check') },
  {
    name: 'architecture and unit tests',
    command: node('scripts/test.ts', '--one-process', 'test/architecture', 'src'),
  },
];

if (import.meta.url === `file://${process.argv[1]}`) process.exitCode = await runSteps([QUICK]);
