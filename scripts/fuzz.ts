/** `npm run fuzz -- NAME [SEED] [RUNS]`: one fuzzer, as long as asked; a failure prints the line that replays it. */
import { fuzzCpu } from '../test/cpu/fuzz.ts';
import { fuzzImage } from '../test/image/fuzz.ts';
import { fuzzBpf } from '../test/jit/fuzz/fuzz.ts';
import { fuzzObjects } from '../test/jit/fuzz/object.ts';
import { fuzzVerifier } from '../test/jit/fuzz/verifier.ts';

const FUZZERS: Readonly<Record<string, (options: { readonly seed: number; readonly runs: number }) => Promise<void>>> =
  {
    bpf: fuzzBpf,
    cpu: fuzzCpu,
    image: fuzzImage,
    object: fuzzObjects,
    verifier: fuzzVerifier,
  };

const [name = '', seed = String(Date.now() % 0x1_0000_0000), runs = '1000'] = process.argv.slice(2);
const fuzzer = Object.hasOwn(FUZZERS, name) ? FUZZERS[name] : undefined;
if (fuzzer === undefined || !/^\d+$/.test(seed) || !/^\d+$/.test(runs)) {
  process.stderr.write(`usage: npm run fuzz -- NAME [SEED] [RUNS]; names: ${Object.keys(FUZZERS).join(', ')}\n`);
  process.exitCode = 2;
} else {
  process.stdout.write(`${name}: ${runs} runs with seed ${seed}\n`);
  await fuzzer({ seed: Number(seed), runs: Number(runs) });
  process.stdout.write('nothing found\n');
}
