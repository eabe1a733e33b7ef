/** Real processes of the command line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Long: the machine may be busy, and the sources are compiled on the way. */
const STARTED_MS_MAX = 60_000;

export interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunningProcess {
  readonly child: ChildProcess;
  out(): string;
  err(): string;
  /** Resolves when standard output matches; rejects when the process ends before. */
  until(pattern: RegExp): Promise<RegExpMatchArray>;
  readonly finished: Promise<Finished>;
}

export function temporaryFolder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'ktextd-e2e-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function start(
  t: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): RunningProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, XDG_CACHE_HOME: temporaryFolder(t), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  let out = '';
  let err = '';
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    for (const wake of waiting) wake();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const finished = once(child, 'close').then(([code]: (number | null)[]) => {
    for (const wake of waiting) wake();
    return { code: code ?? null, out, err };
  });
  return {
    child,
    out: () => out,
    err: () => err,
    finished,
    async until(pattern) {
      const isLate = AbortSignal.timeout(STARTED_MS_MAX);
      isLate.addEventListener('abort', () => {
        for (const wake of waiting) wake();
      });
      for (;;) {
        const match = pattern.exec(out);
        if (match !== null) return match;
        if (isLate.aborted) throw new Error(`no ${pattern} within ${STARTED_MS_MAX} ms:\n${out}${err}`);
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}:\n${out}${err}`);
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
    },
  };
}

/** A service on the built-in kernel, ready; `address` as printed. */
export async function serve(t: TestContext, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const running = start(t, ['serve', '--listen', '127.0.0.1:0', ...args], env);
  const [, address = ''] = await running.until(/^listening on (\S+)/m);
  await running.until(/try next:\n(?: {2}curl .*\n){3}/);
  return { ...running, address };
}
