import { spawn } from 'node:child_process';

export interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const TSX = ['--import', 'tsx'] as const;

export const node = (...args: readonly string[]): readonly [string, ...string[]] => [process.execPath, ...TSX, ...args];

/** `isBeside`: others run at the same time, so what it prints is kept until it has ended. */
function run(step: Step, isBeside: boolean): Promise<number> {
  const [file, ...args] = step.command;
  const child = spawn(file, args, { stdio: isBeside ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
  const printed: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (piece: Buffer) => printed.push(piece));
  const stop = (): boolean => child.kill('SIGTERM');
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`${step.name}: ${error.message}\n`);
      resolve(1);
    });
    child.on('close', (code, signal) => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      process.stdout.write(Buffer.concat(printed));
      resolve(code ?? (signal === null ? 1 : 130));
    });
  });
}

/** Steps that need nothing of one another, at the same time. */
export type Together = readonly Step[];

/**
 * Runs steps one after the other, those of a list within at the same time, and stops behind the first that fails; each announces itself and says how
 * long it took.
 */
export async function runSteps(steps: readonly (Step | Together)[]): Promise<number> {
  const all = steps.flat().length;
  let begun = 0;
  const timed = async (step: Step, isBeside: boolean): Promise<number> => {
    const title = `[${++begun}/${all}] ${step.name}`;
    const startMs = Date.now();
    process.stdout.write(`\n${title}\n`);
    const code = await run(step, isBeside);
    const seconds = ((Date.now() - startMs) / 1000).toFixed(1);
    process.stdout.write(`${title}: ${code === 0 ? 'ok' : `failed (${code})`}, ${seconds} s\n`);
    return code;
  };
  for (const each of steps) {
    const codes =
      'name' in each ? [await timed(each, false)] : await Promise.all(each.map((step) => timed(step, true)));
    const failed = codes.find((code) => code !== 0);
    if (failed !== undefined) return failed;
  }
  return 0;
}
