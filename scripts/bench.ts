/** `npm run bench [-- NAME…]`: the figures of the README, each as a ratio to something measured in the same run. */
import { readdirSync } from 'node:fs';
import { node, runSteps } from './run-steps.ts';

const all = readdirSync('bench')
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`no bench ${unknown.join(', ')}; there are: ${all.join(', ')}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await runSteps([
    { name: 'build', command: ['npm', 'run', '-s', 'build'] },
    ...(wanted.length > 0 ? wanted : all).map((name) => ({ name, command: node(`bench/${name}.ts`) })),
  ]);
}
