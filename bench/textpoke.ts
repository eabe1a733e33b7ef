/**
 * What a poke costs, as ratios to the same bytes stored by a plain loop in the same run: absolute times say more about the machine.
 *
 *   npx tsx bench/textpoke.ts
 */
import { kernelAddress, systemClock, textOffset } from '../src/base/index.ts';
import {
  KernelText,
  type PokeAuthor,
  type PokeEntry,
  runPhases,
  TextMutex,
  type TextMutexHeld,
  textPokeBp,
  textPokeBpAll,
} from '../src/textpoke/index.ts';

const SITES = 10_000;
const TEXT_BYTES = 17_000_000;
const SPACING = Math.floor(TEXT_BYTES / SITES);
const ROUNDS = 11;
const NOP5 = Uint8Array.of(0x0f, 0x1f, 0x44, 0x00, 0x00);
const CALL = Uint8Array.of(0xe8, 0x11, 0x22, 0x33, 0x44);
const BY: PokeAuthor = { client: 'bench', kind: 'ftrace', reason: 'attach' };
const machine = { syncCores: (): void => undefined };

interface Row {
  readonly name: string;
  readonly ms: number;
}

/** Median of the odd number of rounds; the first, which compiles, is not counted. */
function measure(name: string, body: (round: number) => void): Row {
  const times = Array.from({ length: ROUNDS + 1 }, (_, round) => {
    const startUs = systemClock.monotonicUs();
    body(round);
    return (systemClock.monotonicUs() - startUs) / 1000;
  });
  const sorted = times.slice(1).sort((a, b) => a - b);
  return { name, ms: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN };
}

function image(): Uint8Array {
  const bytes = new Uint8Array(TEXT_BYTES).fill(0x90);
  for (let site = 0; site < SITES; site++) bytes.set(NOP5, site * SPACING);
  return bytes;
}

function entries(from: Uint8Array, to: Uint8Array): readonly PokeEntry[] {
  const at = (site: number) => textOffset(site * SPACING);
  return Array.from({ length: SITES }, (_, site) => ({ at: at(site), expected: from, bytes: to, by: BY }));
}

function pokeRows(held: TextMutexHeld): readonly Row[] {
  const plain = image();
  const text = new KernelText({
    base: kernelAddress(0xffff_ffff_8100_0000n),
    clock: systemClock,
    ranges: [{ name: '.text', start: textOffset(0), bytes: plain }],
  });
  const sets = [entries(NOP5, CALL), entries(CALL, NOP5)] as const;
  const setOf = (round: number): readonly PokeEntry[] => sets[round % 2 === 0 ? 0 : 1];
  const store = measure(`Uint8Array.set, ${SITES} sites`, (round) => {
    for (const { at, bytes } of setOf(round)) plain.set(bytes, at);
  });
  const batched = measure(`textPokeBpAll, ${SITES} sites, ${Math.ceil(SITES / 256)} batches`, (round) => {
    if (!runPhases(textPokeBpAll(held, text, setOf(round)), machine).ok) throw new Error('mismatch');
  });
  const single = measure(`textPokeBp, ${SITES} sites one by one`, (round) => {
    for (const entry of setOf(round)) {
      if (!runPhases(textPokeBp(held, text, entry), machine).ok) throw new Error('mismatch');
    }
  });
  runPhases(textPokeBpAll(held, text, sets[0]), machine);
  const all = measure(
    `changedRanges, ${SITES} sites written, ${text.extent().dirtyPages} pages`,
    () => void text.changedRanges(),
  );
  const few = new KernelText({
    base: text.base,
    clock: systemClock,
    ranges: [{ name: '.text', start: textOffset(0), bytes: image() }],
  });
  runPhases(textPokeBpAll(held, few, entries(NOP5, CALL).slice(0, 100)), machine);
  const audit = measure('changedRanges, 100 sites written', () => void few.changedRanges());
  const bytes = measure('text.bytes(5), 10,000 times', () => {
    for (const { at } of sets[0]) text.bytes(at, 5);
  });
  return [store, batched, single, all, audit, bytes];
}

/** Everything queued at once: what a bound on the queue is for. */
async function mutexRow(waiters: number): Promise<Row> {
  const mutex = new TextMutex({ clock: systemClock, queueMax: waiters });
  let ms = Number.NaN;
  // The last of a few, compiled by then.
  for (let round = 0; round < 4; round++) {
    const startUs = systemClock.monotonicUs();
    await Promise.all(Array.from({ length: waiters }, () => mutex.run({ client: 'bench', what: 'nothing' }, () => 0)));
    ms = (systemClock.monotonicUs() - startUs) / waiters;
  }
  return { name: `TextMutex, ${waiters} waiting, 1,000 turns`, ms };
}

async function main(): Promise<void> {
  const mutex = new TextMutex({ clock: systemClock });
  const run = await mutex.run({ client: 'bench', what: 'measure' }, pokeRows);
  if (!run.ok) throw new Error(run.fault.detail);
  const base = run.value[0]?.ms ?? Number.NaN;
  for (const { name, ms } of run.value) {
    console.log(`${name.padEnd(52)} ${ms.toFixed(2).padStart(9)} ms  ${(ms / base).toFixed(1).padStart(8)} x`);
  }
  for (const waiters of [1_024, 65_536]) {
    const { name, ms } = await mutexRow(waiters);
    console.log(`${name.padEnd(52)} ${ms.toFixed(2).padStart(9)} ms`);
  }
}

await main();
