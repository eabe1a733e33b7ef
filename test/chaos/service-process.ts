/** A real service process on a real disk, to be killed. The compiled program where there is one, else the sources. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAM = existsSync(`${ROOT}dist/cli/main.js`) ? ['dist/cli/main.js'] : ['--import', 'tsx', 'src/cli/main.ts'];
const STARTED_MS_MAX = 60_000;

export interface ServiceProcess {
  readonly address: string;
  /** From spawning to "try next". */
  readonly readyMs: number;
  readonly recoveryMs: number;
  readonly replayed: number;
  readonly pid: number;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit status. */
  stop(): Promise<number | null>;
}

/** Starts the service over `data`; throws with what it printed when it does not get ready. */
export async function startProcess(data: string, cache: string, args: readonly string[] = []): Promise<ServiceProcess> {
  const startMs = performance.now();
  const child = spawn(process.execPath, [...PROGRAM, 'serve', '--listen', '127.0.0.1:0', '--data', data, ...args], {
    cwd: ROOT,
    env: { ...process.env, XDG_CACHE_HOME: cache },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = await untilReady(child);
  const readyMs = performance.now() - startMs;
  const address = /^listening on (\S+)/m.exec(printed)?.[1] ?? '';
  const [, replayed = '0', recoveryMs = '0'] = /(\d+) commands run again in (\d+) ms/.exec(printed) ?? [];
  const ended = once(child, 'close');
  return {
    address,
    readyMs,
    recoveryMs: Number(recoveryMs),
    replayed: Number(replayed),
    pid: child.pid ?? 0,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
      return child.exitCode;
    },
  };
}

function untilReady(child: ChildProcess): Promise<string> {
  let [out, err] = ['', ''];
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${why}:\n${out}${err}`));
    const timer = setTimeout(() => fail(`not ready within ${STARTED_MS_MAX} ms`), STARTED_MS_MAX);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (!/try next:\n(?: {2}curl .*\n){3}/.test(out)) return;
      clearTimeout(timer);
      resolve(out);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
}
