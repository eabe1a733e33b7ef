/**
 * A neighbour that is a process of its own, as other clients are: in the process that makes the trouble its answers would wait behind all others'.
 *
 *  1. The parent asks for so many attaches, or for attaches until it says stop.
 *  2. The child answers each with how long its attaches took, in milliseconds, or with what went wrong.
 *  3. It ends when the parent lets it go.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Neighbour } from './neighbour.ts';

type Order = { readonly kind: 'times'; readonly count: number } | { readonly kind: 'run' } | { readonly kind: 'stop' };
type Report = { readonly latenciesMs: readonly number[] } | { readonly error: string };

export class NeighbourProcess {
  readonly #child: ChildProcess;

  constructor(server: string) {
    this.#child = fork(fileURLToPath(import.meta.url), [server], { execArgv: ['--import', 'tsx'] });
  }

  /** Milliseconds of each of so many attaches. */
  times(count: number): Promise<readonly number[]> {
    return this.#ask({ kind: 'times', count });
  }

  /** Goes on until {@link stop}; milliseconds of each attach. */
  run(): Promise<readonly number[]> {
    return this.#ask({ kind: 'run' });
  }

  stop(): void {
    this.#child.send({ kind: 'stop' } satisfies Order);
  }

  async end(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }

  async #ask(order: Order): Promise<readonly number[]> {
    const ended = new AbortController();
    const report = once(this.#child, 'message', { signal: ended.signal });
    const exit = once(this.#child, 'exit', { signal: ended.signal }).then(() => [{ error: 'the neighbour ended' }]);
    this.#child.send(order);
    try {
      const [said] = (await Promise.race([report, exit])) as [Report];
      if ('error' in said) throw new Error(said.error);
      return said.latenciesMs;
    } finally {
      report.catch(() => undefined);
      exit.catch(() => undefined);
      ended.abort();
    }
  }
}

function serve(server: string): void {
  let running: Neighbour | undefined;
  const carryOut = async (order: Order): Promise<void> => {
    if (order.kind === 'stop') return running?.stop();
    running = new Neighbour(server, 'beside');
    await (order.kind === 'run' ? running.run() : running.times(order.count));
    process.send?.({ latenciesMs: running.latenciesMs } satisfies Report);
  };
  process.on('message', (order: Order) => {
    carryOut(order).catch((error: unknown) => process.send?.({ error: String(error) } satisfies Report));
  });
}

const [script, server] = process.argv.slice(1);
if (script === fileURLToPath(import.meta.url) && server !== undefined) serve(server);
