import { parentPort } from 'node:worker_threads';
import { giveWay, invariant } from '../base/index.ts';
import { type Btf, readBtf } from '../image/index.ts';
import { runVerification, type VerificationJob } from '../registry/index.ts';
import type { FromVerificationWorker, VerificationBtf } from './verifications.ts';

/** The far end of verifications.ts: verifies programs one after the other, against the types that it was told first. */
const port = parentPort;
invariant(port !== null, 'verification-worker.ts runs as a worker');
giveWay();
const post = (message: FromVerificationWorker): void => port.postMessage(message);
let btf: Btf | undefined;

port.on('message', (message: VerificationBtf | VerificationJob) => {
  if ('btf' in message) {
    const read = readBtf(message.btf);
    btf = read.ok ? read.value : undefined;
    return;
  }
  post({ kind: 'began' });
  post({ kind: 'done', answer: runVerification(message, btf?.types) });
});
