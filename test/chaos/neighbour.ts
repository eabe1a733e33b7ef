/** A well-behaved client beside trouble: it attaches and detaches, and keeps how long each attach took. */
import { type Client, createClient } from '../../src/client/index.ts';

export const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? 0;

export class Neighbour {
  readonly latenciesMs: number[] = [];
  readonly #client: Client;
  #isOver = false;

  constructor(server: string, name = 'neighbour') {
    this.#client = createClient({ server, client: name });
  }

  async once(): Promise<void> {
    const startMs = performance.now();
    const attached = await this.#client.attach({ kind: 'fentry', target: 'vfs_read' });
    this.latenciesMs.push(performance.now() - startMs);
    if (!attached.ok) throw new Error(`a good request was refused: ${attached.problem.rule}`);
    const detached = await this.#client.detach(attached.value.id);
    if (!detached.ok) throw new Error(`a good request was refused: ${detached.problem.rule}`);
  }

  async times(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.once();
  }

  /** Goes on until {@link stop}; rejects when anything is refused. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      await this.once();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  stop(): void {
    this.#isOver = true;
  }
}
