/** `npm test`: everything. Kernels are found through KTEXTD_KERNELS or the cache that `npm run kernels` fills. */
import { existsSync } from 'node:fs';
import { QUICK } from './check.ts';
import { node, runSteps, type Step } from './run-steps.ts';

/** In the order in which a failure says most. */
const FOLDERS = [
  'fixture',
  'image',
  'boot',
  'insn',
  'jit',
  'textpoke',
  'conformance',
  'property',
  'server',
  'integration',
  'e2e',
];

const steps: readonly Step[] = [
  ...QUICK,
  { name: 'build', command: ['npx', '--no-install', 'tsc', '-p', 'tsconfig.build.json'] },
  ...FOLDERS.filter((folder) => existsSync(`test/${folder}`)).map((folder) => ({
    name: `test/${folder}`,
    command: node('scripts/test.ts', `test/${folder}`),
  })),
];

process.exitCode = await runSteps(steps);
