import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { NativeAnswer, NativeReply, NativeRequest } from './protocol.ts';

/** Why machine code cannot be run on the real CPU here; undefined when it can. */
export function nativeUnavailable(): string | undefined {
  if (process.arch !== 'x64') return `the real CPU is ${process.arch}, not x86-64`;
  return process.platform === 'linux' ? undefined : `mmap is asked for Linux' way, and this is ${process.platform}`;
}

/** The child died: what it was running did something that the real CPU answers with a signal, or did not end in time. */
export class NativeCrash extends Error {
  override readonly name = 'NativeCrash';
}

/** A child process in which machine code runs on the real CPU. */
export class NativeProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (answers: readonly NativeAnswer[]) => void; reject: (e: Error) => void }
  >();
  #next = 0;
  #ended: string | undefined;

  constructor() {
    this.#child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), {
      serialization: 'advanced',
      execArgv: ['--import', 'tsx'],
    });
    this.#child.on('message', (reply: NativeReply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if ('error' in reply) waiting?.reject(new Error(reply.error));
      else waiting?.resolve(reply.answers);
    });
    this.#child.on('exit', (code, signal) => {
      this.#ended = `the native process ended with ${signal ?? `code ${code}`}`;
      for (const { reject } of this.#waiting.values()) reject(new NativeCrash(this.#ended));
      this.#waiting.clear();
    });
  }

  /** Does the requests in order. Rejects with NativeCrash when the child dies or does not answer in `timeoutMs`. */
  async run(requests: readonly NativeRequest[], timeoutMs = 30_000): Promise<readonly NativeAnswer[]> {
    if (this.#ended !== undefined) throw new NativeCrash(this.#ended);
    const id = this.#next;
    this.#next += 1;
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#child.send({ id, requests });
      });
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
