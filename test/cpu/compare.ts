import { readFileSync } from 'node:fs';
import { kernelAddress } from '../../src/base/index.ts';
import type { Form } from '../../src/cpu/form.ts';
import { FORMS } from '../../src/cpu/forms/index.ts';
import { AddressSpace, Cpu, type InstructionFetch } from '../../src/cpu/index.ts';
import { disassemble } from '../../src/insn/index.ts';
import type { NativeProcess } from '../support/native-process/native-process.ts';
import { type Batch, CASE_LENGTH, makeBatch } from './batch.ts';
import { CASES, CODE, CODE_BYTES, DATA, DATA_BYTES, GS, LOG, OUT, OUT_FLAGS, SLOT_BYTES } from './layout.ts';

const SIM_STACK = 0x7000_0000n;
const SENTINEL = 0x7fff_0000n;

/** Processor features (as /proc/cpuinfo names them) without which forms mean something else, or nothing. */
const FEATURES: Readonly<Record<string, string>> = {
  andn: 'bmi1',
  bextr: 'bmi1',
  blsr: 'bmi1',
  blsmsk: 'bmi1',
  blsi: 'bmi1',
  tzcnt: 'bmi1',
  bzhi: 'bmi2',
  pdep: 'bmi2',
  pext: 'bmi2',
  mulx: 'bmi2',
  rorx: 'bmi2',
  sarx: 'bmi2',
  shlx: 'bmi2',
  shrx: 'bmi2',
  adcx: 'adx',
  adox: 'adx',
  lzcnt: 'abm',
  popcnt: 'popcnt',
  movbe: 'movbe',
  crc32: 'sse4_2',
  clflushopt: 'clflushopt',
  clwb: 'clwb',
  lahf: 'lahf_lm',
  sahf: 'lahf_lm',
  cmpxchg16b: 'cx16',
};

/** Forms that the real CPU here can be asked about. */
export function comparableForms(extra: readonly string[] = []): readonly Form[] {
  const flags = new Set([
    ...(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '').split(' '),
    ...extra,
  ]);
  return FORMS.filter((form) => {
    const feature = FEATURES[form.name];
    return form.notCompared === undefined && (feature === undefined || flags.has(feature));
  });
}

/** Runs a batch on the simulated CPU; its memory afterwards, or what went wrong. */
export function runSimulated(
  batch: Batch,
  fetch?: (space: AddressSpace) => InstructionFetch,
): { data: Uint8Array; executed: number } {
  const space = new AddressSpace();
  space.map({ name: 'code', start: BigInt(CODE), length: CODE_BYTES, permissions: 'r-x', initial: batch.code });
  const data = space.map({
    name: 'data',
    start: BigInt(DATA),
    length: DATA_BYTES,
    permissions: 'rw-',
    initial: batch.data,
  });
  space.map({ name: 'stack', start: SIM_STACK, length: 0x1000, permissions: 'rw-' });
  const cpu = new Cpu({ number: 0, space, ...(fetch === undefined ? {} : { fetch: fetch(space) }) });
  cpu.sentinel = SENTINEL;
  cpu.set('rip', BigInt(CODE));
  cpu.set('rsp', SIM_STACK + 0x1000n);
  cpu.set('gs_base', BigInt(GS));
  cpu.push(SENTINEL);
  const exit = cpu.run(50_000_000);
  if (exit.kind !== 'returned') {
    const at = Number(cpu.get('rip'));
    const lines = disassemble(batch.code.subarray(at - CODE, at - CODE + 15), 0, kernelAddress(BigInt(at)));
    throw new Error(
      `simulated: ${exit.kind} ${JSON.stringify('fault' in exit ? exit.fault : {}, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v))} at ${at.toString(16)}: ${lines[0]?.text}`,
    );
  }
  return { data: data.bytes, executed: cpu.executed };
}

/** mov $1,%eax; lzcnt %eax,%eax; ret: a processor without lzcnt takes it for bsr. */
const LZCNT_OF_1 = Uint8Array.of(0xb8, 1, 0, 0, 0, 0xf3, 0x0f, 0xbd, 0xc0, 0xc3);

/** Maps the memory of batches in a child; features that it has although the system does not show them (hypervisors hide some). */
export async function prepareNative(native: NativeProcess): Promise<readonly string[]> {
  await native.run([
    { op: 'map', address: BigInt(CODE), length: CODE_BYTES },
    { op: 'map', address: BigInt(DATA), length: DATA_BYTES },
    { op: 'gs', base: BigInt(GS) },
    { op: 'write', address: BigInt(CODE), bytes: LZCNT_OF_1 },
    { op: 'protect', address: BigInt(CODE), length: CODE_BYTES, permissions: 'r-x' },
  ]);
  const [count] = await native.run([{ op: 'call', address: BigInt(CODE), args: [] }]);
  return count === 31n ? ['abm'] : [];
}

export async function runNative(native: NativeProcess, batch: Batch): Promise<Uint8Array> {
  const code = { address: BigInt(CODE), length: CODE_BYTES };
  const answers = await native.run([
    { op: 'protect', ...code, permissions: 'rw-' },
    { op: 'write', address: BigInt(CODE), bytes: batch.code },
    { op: 'protect', ...code, permissions: 'r-x' },
    { op: 'write', address: BigInt(DATA), bytes: batch.data },
    { op: 'call', address: BigInt(CODE), args: [] },
    { op: 'read', address: BigInt(DATA), length: DATA_BYTES },
  ]);
  const data = answers[5];
  if (!(data instanceof Uint8Array)) throw new TypeError('no memory came back');
  return data;
}

/** Clears the flag bits that nothing defines, so that the rest can be compared as memory. */
function forget(batch: Batch, data: Uint8Array): Uint8Array {
  const copy = data.slice();
  const view = new DataView(copy.buffer);
  const clear = (at: number, bits: number): void => view.setUint32(at, view.getUint32(at, true) & ~bits, true);
  for (const [index, { log, ignored }] of batch.cases.entries()) {
    const slot = index * SLOT_BYTES;
    for (const [i, entry] of log.entries()) clear(slot + LOG + i * 8, entry.ignored);
    clear(slot + OUT_FLAGS, ignored);
    // Below the stack pointer lie flags that were pushed for the log.
    copy.fill(0, slot + LOG + log.length * 8, slot + 0x3c0);
  }
  return copy;
}

/** The case whose memory differs, or -1. */
export function differingCase(batch: Batch, simulated: Uint8Array, native: Uint8Array): number {
  const a = forget(batch, simulated);
  const b = forget(batch, native);
  if (Buffer.compare(a, b) === 0) return -1;
  for (let index = 0; index < batch.cases.length; index++) {
    const [from, to] = [index * SLOT_BYTES, (index + 1) * SLOT_BYTES];
    if (Buffer.compare(a.subarray(from, to), b.subarray(from, to)) !== 0) return index;
  }
  return batch.cases.length;
}

function describe(batch: Batch, index: number, simulated: Uint8Array, native: Uint8Array): string {
  const a = new DataView(forget(batch, simulated).buffer, index * SLOT_BYTES);
  const b = new DataView(forget(batch, native).buffer, index * SLOT_BYTES);
  const lines: string[] = [];
  for (let at = OUT; at < SLOT_BYTES && lines.length < 12; at += 8) {
    const [x, y] = [a.getBigUint64(at, true), b.getBigUint64(at, true)];
    if (x !== y) lines.push(`  slot+0x${at.toString(16)}: simulated ${x.toString(16)}, real ${y.toString(16)}`);
  }
  return lines.join('\n');
}

export interface Difference {
  readonly index: number;
  readonly limit: number;
  readonly form: string;
  readonly text: string;
}

/** Cuts the failing case to the shortest beginning that still differs, and says what its last instruction is. */
export async function shrink(
  seed: number,
  forms: readonly Form[],
  count: number,
  index: number,
  run: (batch: Batch) => Promise<readonly [Uint8Array, Uint8Array]>,
): Promise<Difference> {
  for (let limit = 0; limit <= CASE_LENGTH; limit++) {
    const batch = makeBatch(seed, forms, count, { index, limit });
    const [simulated, native] = await run(batch);
    if (differingCase(batch, simulated, native) !== index) continue;
    const last = batch.cases[index]?.tested.at(-1);
    if (last === undefined)
      return { index, limit, form: 'the frame around sequences', text: describe(batch, index, simulated, native) };
    const bytes = batch.code.subarray(last.at - CODE, last.at - CODE + last.length);
    const listing = disassemble(bytes, 0, kernelAddress(BigInt(last.at))).map((line) => `  ${line.text}`);
    const text = [...listing, describe(batch, index, simulated, native)].join('\n');
    return { index, limit, form: `${last.form.name} (${last.form.encoding}, ${last.form.operands})`, text };
  }
  return { index, limit: CASE_LENGTH, form: 'unknown', text: 'the difference went away when the case was built alone' };
}

export { CASES };
