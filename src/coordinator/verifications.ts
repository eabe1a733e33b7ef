import { type Clock, err, type Result } from '../base/index.ts';
import type { Refusal, VerifiedBytes } from '../jit/index.ts';
import {
  refuse,
  VERIFICATION_BUDGET,
  type VerificationJob,
  type VerifiedProgram,
  verifiedProgram,
} from '../registry/index.ts';
import { VERIFICATIONS_BUSY } from './rules.ts';
import { type FromThread, ThreadQueue } from './thread-queue.ts';

/** Programs that may wait for the thread. */
const WAITING_MAX = 256;
/** A million instructions looked at take a few seconds. */
const MILLISECONDS_MAX = 60_000;

export type FromVerificationWorker = FromThread<Result<VerifiedBytes, Refusal>>;

/** What the thread is told first: the section .BTF of the image. */
export interface VerificationBtf {
  readonly btf: Uint8Array;
}

/** Verifies programs, one after the other, in a thread of their own. */
export class Verifications {
  readonly #queue: ThreadQueue<VerificationJob, Result<VerifiedBytes, Refusal>>;

  constructor(clock: Clock, btf: () => Uint8Array | undefined) {
    this.#queue = new ThreadQueue<VerificationJob, Result<VerifiedBytes, Refusal>>({
      clock,
      importer: import.meta.url,
      name: './verification-worker',
      waitingMax: WAITING_MAX,
      onStart: (worker) => {
        const bytes = btf();
        if (bytes !== undefined) worker.postMessage({ btf: bytes } satisfies VerificationBtf);
      },
      timedOut: () =>
        err({ ...refuse(VERIFICATION_BUDGET, { detail: `It took more than ${MILLISECONDS_MAX} ms.` }), log: '' }),
      busy: (detail) => refuse(VERIFICATIONS_BUSY, { detail }),
      does: 'verifies programs',
    });
  }

  async verify(job: VerificationJob): Promise<Result<VerifiedProgram>> {
    const answer = await this.#queue.run(job, MILLISECONDS_MAX);
    return answer.ok ? verifiedProgram(answer.value) : answer;
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}
