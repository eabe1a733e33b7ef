import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type KernelAddress, kernelAddress } from '../../../src/base/index.ts';
import type { BpfJitCpu } from '../../../src/jit/index.ts';
import { CALLX, type FromChild, IDENTITY, IDENTITY_HELPER, type NativeBatch, type NativeResult } from './area.ts';

/** Generated code can be executed here. */
export const HAS_NATIVE_CPU = process.arch === 'x64' && process.platform === 'linux';

/** How programs for the real CPU are compiled: no mitigations, since there is no kernel around them. */
export const NATIVE_JIT_CPU: BpfJitCpu = {
  bmi2: false,
  sls: false,
  ibt: true,
  indirectJump: { kind: 'plain', hasInt3: false },
};
export const nativeHelper = (id: number): number | undefined => (id === IDENTITY_HELPER ? IDENTITY.at : undefined);
export const NATIVE_CALLX = CALLX.at;

const TIMEOUT_MS = 60_000;

/** The real CPU, in a child process of its own. */
export interface NativeCpu {
  /** Address of the code area. */
  readonly base: KernelAddress;
  /** Address of the data area, to which the memory of a run is copied. */
  readonly dataBase: bigint;
  /** Copies the code and makes the runs in their order. Rejects when the child dies of them or hangs. */
  execute(batch: NativeBatch): Promise<readonly NativeResult[]>;
  close(): Promise<void>;
}

function nextMessage(child: ChildProcess): Promise<FromChild> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`the code did not return within ${TIMEOUT_MS} ms`));
    }, TIMEOUT_MS);
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      finish();
    };
    const onMessage = (message: FromChild): void => settle(() => resolve(message));
    const onExit = (code: number | null, signal: string | null): void =>
      settle(() => reject(new Error(`the code killed its process: ${signal ?? `exit ${code}`}`)));
    child.on('message', onMessage);
    child.on('exit', onExit);
  });
}

export async function startNativeCpu(): Promise<NativeCpu> {
  const child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced',
  });
  const ready = await nextMessage(child);
  if (ready.kind !== 'ready') throw new Error('the child began with something else');
  return {
    base: kernelAddress(ready.base),
    dataBase: ready.dataBase,
    async execute(batch) {
      const answer = nextMessage(child);
      child.send({ batch });
      const message = await answer;
      if (message.kind !== 'done') throw new Error(`the child answered ${message.kind}`);
      return message.results;
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.disconnect();
      await exit;
    },
  };
}
