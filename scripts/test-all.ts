/** `npm test`: everything. Kernels are found through KTEXTD_KERNELS or the cache that `npm run kernels` fills. */
import { readdirSync } from 'node:fs';
import { QUICK } from './check.ts';
import { node, runSteps, type Step, type Together } from './run-steps.ts';

/** In the order in which a failure says most; folders that are not named come last. */
const FIRST = ['fixture', 'image', 'boot', 'insn', 'jit', 'textpoke', 'conformance', 'property', 'matrix', 'server'];
/** Not tests of their own: what tests share, and what the quick check has run already. */
const NOT_HERE = new Set(['support', 'architecture']);

const folders = readdirSync('test', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !NOT_HERE.has(entry.name))
  .map((entry) => entry.name)
  .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

function rank(folder: string): number {
  const index = FIRST.indexOf(folder);
  return index < 0 ? FIRST.length : index;
}

const steps: readonly (Step | Together)[] = [
  QUICK,
  { name: 'build', command: ['npm', 'run', '-s', 'build'] },
  ...folders.map((folder) => ({ name: `test/${folder}`, command: node('scripts/test.ts', `test/${folder}`) })),
];

process.exitCode = await runSteps(steps);
