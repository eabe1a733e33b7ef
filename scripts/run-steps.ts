import { spawn } from 'node:child_process';

export interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const TSX = ['--import', 'tsx'] as const;

export const node = (...args: readonly string[]): readonly [string, ...string[]] => [process.execPath, ...TSX, ...args];

function run(step: Step): Promise<number> {
  const [file, ...args] = step.command;
  const child = spawn(file, args, { stdio: 'inherit' });
  const stop = (): boolean => child.kill('SIGTERM');
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`${step.name}: ${error.message}\n`);
      resolve(1);
    });
    child.on('exit', (code, signal) => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      resolve(code ?? (signal === null ? 1 : 130));
    });
  });
}

/** Runs steps one after the other and stops at the first that fails; each announces itself and says how long it took. */
export async function runSteps(steps: readonly Step[]): Promise<number> {
  for (const [index, step] of steps.entries()) {
    const startMs = Date.now();
    process.stdout.write(`\n[${index + 1}/${steps.length}] ${step.name}\n`);
    const code = await run(step);
    const seconds = ((Date.now() - startMs) / 1000).toFixed(1);
    process.stdout.write(
      `[${index + 1}/${steps.length}] ${step.name}: ${code === 0 ? 'ok' : `failed (${code})`}, ${seconds} s\n`,
    );
    if (code !== 0) return code;
  }
  return 0;
}
