/** `npm run check`: everything that can be said in half a minute. */
import { node, runSteps, type Step } from './run-steps.ts';

const BUILD_INFO = '.cache/check.tsbuildinfo';

export const QUICK: readonly Step[] = [
  { name: 'format and lint', command: ['npx', '--no-install', 'biome', 'ci', '--colors=off', '--error-on-warnings'] },
  {
    name: 'types',
    // What was found the last time is kept: a second check looks at what changed, and at what uses it.
    command: ['npx', '--no-install', 'tsc', '-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', BUILD_INFO],
  },
  { name: 'generated documentation', command: node('scripts/docs.ts', '--check') },
  {
    name: 'architecture and unit tests',
    command: node('scripts/test.ts', '--one-process', 'test/architecture', 'src'),
  },
];

if (import.meta.url === `file://${process.argv[1]}`) process.exitCode = await runSteps(QUICK);
