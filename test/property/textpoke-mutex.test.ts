/**
 * TextMutex against a model. Goal: work runs exactly once, in the order asked within a client and one turn each around the clients, one at a time, or is refused for the right reason and never
 * runs. Method: random scripts of submitting, aborting, finishing and letting time pass, with and without letting promises settle in between.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/base/index.ts';
import { assertHeld, TextMutex } from '../../src/textpoke/index.ts';
import { check } from '../textpoke/property.ts';

type Action =
  | { readonly kind: 'submit'; readonly deadlineMs: number | undefined }
  | { readonly kind: 'abort'; readonly job: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'finish' }
  | { readonly kind: 'settle' };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      deadlineMs: fc.option(fc.nat(20), { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('abort' as const), job: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(12) }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'finish' as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'settle' as const }) },
);

/** What must come of a job: where it stands in the model. */
interface Job {
  readonly client: string;
  readonly dueMs: number;
  outcome: 'waiting' | 'running' | 'ran' | 'text-mutex.queue-full' | 'text-mutex.deadline' | 'text-mutex.aborted';
}

class Model {
  readonly jobs: Job[] = [];
  readonly started: number[] = [];
  nowMs = 0;
  /** Clients in the order of their turns, and who waits of each. */
  #round: { readonly client: string; readonly jobs: number[] }[] = [];
  /** Whose turn it is: it runs once promises have settled, unless it gave up before. */
  #chosen: number | undefined;
  #holder: number | undefined;
  #isFinishing = false;

  readonly #queueMax: number;

  constructor(queueMax: number) {
    this.#queueMax = queueMax;
  }

  submit(client: string, deadlineMs: number | undefined): void {
    const inLine = this.#round.reduce((sum, { jobs }) => sum + jobs.length, 0);
    const isFull = inLine + (this.#chosen === undefined ? 0 : 1) > this.#queueMax;
    const dueMs = deadlineMs === undefined ? Number.POSITIVE_INFINITY : this.nowMs + deadlineMs;
    const job = this.jobs.push({ client, dueMs, outcome: isFull ? 'text-mutex.queue-full' : 'waiting' }) - 1;
    if (isFull) return;
    const line = this.#round.find((each) => each.client === client);
    if (this.#chosen === undefined) this.#chosen = job;
    else if (line === undefined) this.#round.push({ client, jobs: [job] });
    else line.jobs.push(job);
  }

  abort(job: number): void {
    if (this.jobs[job]?.outcome === 'waiting') this.#giveUp(job, 'text-mutex.aborted');
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (const [job, { outcome, dueMs }] of this.jobs.entries())
      if (outcome === 'waiting' && dueMs <= this.nowMs) this.#giveUp(job, 'text-mutex.deadline');
  }

  #giveUp(job: number, rule: 'text-mutex.aborted' | 'text-mutex.deadline'): void {
    const found = this.jobs[job];
    if (found !== undefined) found.outcome = rule;
    const kept = this.#round.map(({ client, jobs }) => ({ client, jobs: jobs.filter((each) => each !== job) }));
    this.#round = kept.filter(({ jobs }) => jobs.length > 0);
  }

  #choose(): number | undefined {
    const line = this.#round.shift();
    const job = line?.jobs.shift();
    if (line !== undefined && line.jobs.length > 0) this.#round.push(line);
    return job;
  }

  /** The job whose gate is to be opened, once. */
  finish(): number | undefined {
    if (this.#holder === undefined || this.#isFinishing) return undefined;
    this.#isFinishing = true;
    return this.#holder;
  }

  settle(): void {
    const holder = this.#holder === undefined ? undefined : this.jobs[this.#holder];
    if (holder !== undefined && this.#isFinishing) {
      holder.outcome = 'ran';
      this.#holder = undefined;
      this.#chosen = this.#choose();
    }
    this.#isFinishing = false;
    while (this.#holder === undefined && this.#chosen !== undefined) {
      const next = this.#chosen;
      const job = this.jobs[next];
      if (job?.outcome !== 'waiting') {
        this.#chosen = this.#choose();
        continue;
      }
      job.outcome = 'running';
      this.#holder = next;
      this.started.push(next);
    }
  }

  get isIdle(): boolean {
    return this.#holder === undefined && this.#chosen === undefined;
  }

  get waiting(): number {
    return this.jobs.filter((job) => job.outcome === 'waiting').length;
  }
}

/** Three clients, so that some wait behind themselves. */
const clientOf = (job: number): string => `c${(job * 7) % 3}`;

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('TextMutex', () => {
  it('does what the model says, for any script', async () => {
    await check(
      'test/property/textpoke-mutex.test.ts',
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), fc.nat(4), async (script, queueMax) => {
        const clock = new ManualClock(0);
        const mutex = new TextMutex({ clock, queueMax });
        const model = new Model(queueMax);
        const started: number[] = [];
        const outcomes: string[] = [];
        const gates: (() => void)[] = [];
        const aborts: AbortController[] = [];
        let inside = 0;
        const submit = (deadlineMs: number | undefined): void => {
          const job = aborts.push(new AbortController()) - 1;
          const signal = aborts[job]?.signal;
          const request = {
            client: clientOf(job),
            what: 'x',
            ...(signal && { signal }),
            ...(deadlineMs !== undefined && { deadlineMs }),
          };
          const opened = new Promise<void>((resolve) => {
            gates[job] = resolve;
          });
          const running = mutex.run(request, async (held) => {
            started.push(job);
            assert.equal(++inside, 1);
            await opened;
            assertHeld(held);
            inside--;
          });
          void running.then((result) => {
            assert.equal(outcomes[job], undefined);
            outcomes[job] = result.ok ? 'ran' : result.fault.rule;
          });
        };
        const settleBoth = async (): Promise<void> => {
          await settle();
          model.settle();
          assert.deepEqual(started, model.started);
          assert.equal(mutex.state().waiting.length, model.waiting);
          for (const [job, { outcome }] of model.jobs.entries()) {
            const isOpen = outcome === 'waiting' || outcome === 'running';
            assert.equal(outcomes[job], isOpen ? undefined : outcome, `job ${job}`);
          }
        };
        const finish = (): void => {
          const job = model.finish();
          if (job !== undefined) gates[job]?.();
        };
        for (const step of script) {
          if (step.kind === 'submit') {
            submit(step.deadlineMs);
            model.submit(clientOf(model.jobs.length), step.deadlineMs);
          } else if (step.kind === 'abort') {
            aborts[step.job]?.abort();
            model.abort(step.job);
          } else if (step.kind === 'advance') {
            model.advance(step.ms);
            clock.advance(step.ms);
          } else if (step.kind === 'finish') finish();
          else await settleBoth();
        }
        while (!model.isIdle) {
          await settleBoth();
          finish();
        }
        await settleBoth();
        assert.equal(mutex.state().acquisitions, started.length);
        assert.equal(mutex.state().holder, null);
      }),
      300,
    );
  });
});
