import { NativeProcess, nativeUnavailable } from '../support/native-process/native-process.ts';
import { type Batch, CASE_LENGTH, makeBatch } from './batch.ts';
import {
  CASES,
  comparableForms,
  type Difference,
  differingCase,
  prepareNative,
  runNative,
  runSimulated,
  shrink,
} from './compare.ts';

export interface FuzzReport {
  /** Instructions of the table that were compared, without those that prepare and log. */
  readonly tested: number;
  /** All that the simulated CPU executed. */
  readonly executed: number;
  readonly forms: number;
  readonly difference?: Difference & { readonly seed: number; readonly count: number };
}

export type Simulate = (batch: Batch) => { readonly data: Uint8Array; readonly executed: number };

/** Runs `cases` sequences, or stops at the first difference. */
export async function compareCases(
  native: NativeProcess,
  options: { readonly seed: number; readonly cases: number; readonly features: readonly string[] },
  simulate: Simulate = runSimulated,
): Promise<FuzzReport> {
  const forms = comparableForms(options.features);
  const seen = new Set<string>();
  let tested = 0;
  let executed = 0;
  for (let done = 0, seed = options.seed; done < options.cases; done += CASES, seed += 1) {
    const count = Math.min(CASES, options.cases - done);
    const batch = makeBatch(seed, forms, count);
    const run = async (b: Batch): Promise<readonly [Uint8Array, Uint8Array]> => {
      const real = await runNative(native, b);
      return [simulate(b).data, real];
    };
    const real = await runNative(native, batch);
    const simulated = simulate(batch);
    executed += simulated.executed;
    tested += count * CASE_LENGTH;
    for (const { tested: list } of batch.cases)
      for (const { form } of list) seen.add(`${form.encoding} ${form.operands}`);
    const index = differingCase(batch, simulated.data, real);
    if (index < 0) continue;
    const difference = await shrink(seed, forms, count, index, run);
    return { tested, executed, forms: seen.size, difference: { ...difference, seed, count } };
  }
  return { tested, executed, forms: seen.size };
}

/** `npm run fuzz -- cpu [SEED] [CASES]`. */
export async function fuzzCpu(options: { readonly seed: number; readonly runs: number }): Promise<void> {
  const reason = nativeUnavailable();
  if (reason !== undefined) {
    process.stdout.write(`skipped: ${reason}\n`);
    return;
  }
  const native = new NativeProcess();
  try {
    const features = await prepareNative(native);
    const report = await compareCases(native, { seed: options.seed, cases: options.runs, features });
    process.stdout.write(
      `${report.tested} instructions of ${report.forms} forms compared with the real CPU (${report.executed} executed)\n`,
    );
    const { difference } = report;
    if (difference === undefined) return;
    throw new Error(
      `${difference.form} differs from the real CPU\n${difference.text}\nreplay: npm run fuzz -- cpu ${difference.seed} ${difference.count}`,
    );
  } finally {
    native.close();
  }
}
