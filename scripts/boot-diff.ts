/**
 * Compares computed pristine text with what a running kernel had.
 *
 *   tsx scripts/boot-diff.ts --image VMLINUZ [--profile FILE] --recording running-text.jsonl[.br] [--list CATEGORY]
 *
 * A recording has a line `{"o": offset from _text, "b": hex}` for each run of bytes in .text that differs between the file and the running
 * kernel. FILE is a profile (or boot-bytes.json with a `variants` table and `--variant NAME`); without it, the profile `max` of test/conformance.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { brotliDecompressSync } from 'node:zlib';
import { systemClock, toHex } from '../src/base/index.ts';

import {
  applyBootPatching,
  type BootResult,
  readAltInstrs,
  readJumpEntries,
  readSites,
} from '../src/image/boot/index.ts';

import type { BootProfile } from '../src/image/kernel-image.ts';
import type { RawKernel } from '../src/image/raw-kernel.ts';
import { readRawKernel } from '../src/image/read-raw-kernel.ts';
import { entriesOf, relative, tableBetween } from '../src/image/tables/table-bytes.ts';

/** Bytes of .text by what became of them, in one category of site. */
export interface DiffRow {
  /** Bytes that boot changed, according to the recording. */
  changed: number;
  /** Of these, computed alike. */
  equal: number;
  /** Of these, left as in the file. */
  missing: number;
  /** Of these, changed to something else. */
  wrong: number;
  /** Bytes that boot did not change and the computation did. */
  extra: number;
}

export interface BootDiff {
  readonly rows: ReadonlyMap<string, DiffRow>;
  readonly total: DiffRow;
  readonly differences: readonly {
    readonly offset: number;
    readonly category: string;
    readonly place: string;
    readonly line: string;
  }[];
  readonly result: BootResult;
  readonly patchMs: number;
}

export function readRecording(path: string): readonly { readonly offset: number; readonly bytes: Uint8Array }[] {
  const raw = readFileSync(path);
  const text = (path.endsWith('.br') ? brotliDecompressSync(raw) : raw).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { o, b } = JSON.parse(line) as { o: number; b: string };
      return { offset: o, bytes: Uint8Array.from(Buffer.from(b, 'hex')) };
    });
}

/** A profile from a file: one by itself, or `variants[name]` of a recording. */
export function readProfile(path: string, name: string): BootProfile {
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const variants = json['variants'] as Record<string, BootProfile> | undefined;
  const variant = variants === undefined ? (json as unknown as BootProfile) : variants[name];
  if (variant === undefined) throw new Error(`${path} has no variant ${name}`);
  return { ...variant, name: variant.name ?? name };
}

const CATEGORIES = [
  'other',
  'SMP lock',
  'call site',
  'retpoline',
  'alternative',
  'jump label',
  'static call',
  'runtime constant',
  'ENDBR',
  'return',
  'ftrace',
];

/** Category of each byte of .text by the tables of the kernel; where two lay claim to one, the later of CATEGORIES has it. */
function categorise(kernel: RawKernel, length: number): Uint8Array {
  const map = new Uint8Array(length);
  const mark = (category: string, start: number, size: number): void => {
    if (start >= 0 && start + size <= length) map.fill(CATEGORIES.indexOf(category), start, start + size);
  };
  const sites = (category: string, section: string, size: number): void => {
    for (const site of readSites(kernel, section)) mark(category, site, size);
  };
  sites('SMP lock', '.smp_locks', 1);
  sites('call site', '.call_sites', 5);
  sites('retpoline', '.retpoline_sites', 6);
  const alternatives = readAltInstrs(kernel, () => true);
  for (const entry of alternatives?.entries ?? []) mark('alternative', entry.instr, entry.instrlen);
  for (const entry of readJumpEntries(kernel)) {
    const first = kernel.read(entry.code, 1)?.[0];
    mark('jump label', entry.code, first === 0xe9 || first === 0x0f ? 5 : 2);
  }
  const calls = tableBetween(kernel, '.static_call_sites', '__start_static_call_sites', '__stop_static_call_sites');
  if (calls !== undefined) for (let i = 0; i < entriesOf(calls, 8); i++) mark('static call', relative(calls, i * 8), 5);
  for (const section of kernel.sections)
    if (section.name.startsWith('runtime_')) sites('runtime constant', section.name, 8);
  sites('ENDBR', '.ibt_endbr_seal', 4);
  sites('return', '.return_sites', 5);
  const mcount = tableBetween(kernel, '__mcount_loc', '__start_mcount_loc', '__stop_mcount_loc');
  if (mcount !== undefined)
    for (let i = 0; i < entriesOf(mcount, 8); i++) mark('ftrace', Number(mcount.view.u64(i * 8) - kernel.base), 5);
  return map;
}

/** Applies boot patching to a copy of the executable sections; .text and how long it took. */
export function patchedText(
  kernel: RawKernel,
  profile: BootProfile,
): {
  text: Uint8Array;
  result: BootResult;
  patchMs: number;
  ranges: Map<string, { start: number; bytes: Uint8Array }>;
} {
  const ranges = new Map<string, { start: number; bytes: Uint8Array }>();
  for (const section of kernel.sections) {
    if (section.executable && section.offset !== undefined)
      ranges.set(section.name, { start: section.offset, bytes: section.bytes.slice() });
  }
  const started = systemClock.monotonicUs();
  const result = applyBootPatching({ kernel, profile, text: [...ranges].map(([name, range]) => ({ name, ...range })) });
  const patchMs = (systemClock.monotonicUs() - started) / 1000;
  if (!result.ok) throw new Error(result.fault.detail);
  const text = ranges.get('.text');
  if (text === undefined) throw new Error('the kernel has no .text');
  return { text: text.bytes, result: result.value, patchMs, ranges };
}

const emptyRow = (): DiffRow => ({ changed: 0, equal: 0, missing: 0, wrong: 0, extra: 0 });

export function bootDiff(
  kernel: RawKernel,
  profile: BootProfile,
  recording: ReturnType<typeof readRecording>,
): BootDiff {
  const { text, result, patchMs } = patchedText(kernel, profile);
  const section = kernel.section('.text');
  if (section === undefined) throw new Error('the kernel has no .text');
  const disk = section.bytes;
  const running = disk.slice();
  for (const { offset, bytes } of recording) running.set(bytes, offset);
  const categories = categorise(kernel, disk.length);
  const rows = new Map<string, DiffRow>();
  const total = emptyRow();
  const places = new Map<string, { offset: number; category: string; end: number }>();
  for (let i = 0; i < disk.length; i++) {
    const kind = tally(disk[i] as number, running[i] as number, text[i] as number);
    if (kind === undefined) continue;
    const category = CATEGORIES[categories[i] as number] as string;
    const row = rows.get(category) ?? emptyRow();
    rows.set(category, row);
    for (const counted of [row, total]) {
      counted[kind] += 1;
      if (kind !== 'extra') counted.changed += 1;
    }
    if (kind === 'equal') continue;
    const last = [...places.values()].at(-1);
    if (last !== undefined && i - last.end < 8 && last.category === category) last.end = i;
    else places.set(String(i), { offset: i, category, end: i });
  }
  const differences = [...places.values()].map(({ offset, category, end }) => {
    const hex = (bytes: Uint8Array): string => toHex(bytes.subarray(Math.max(0, offset - 2), end + 3));
    const place = kernel.describe(offset);
    return {
      offset,
      category,
      place,
      line: `${category}\t${place}\tdisk ${hex(disk)}\trunning ${hex(running)}\tcomputed ${hex(text)}`,
    };
  });
  return { rows, total, differences, result, patchMs };
}

function tally(disk: number, running: number, computed: number): 'equal' | 'missing' | 'wrong' | 'extra' | undefined {
  if (disk === running) return computed === disk ? undefined : 'extra';
  if (computed === running) return 'equal';
  return computed === disk ? 'missing' : 'wrong';
}

export function formatTable(diff: BootDiff): string {
  const line = (name: string, row: DiffRow): string =>
    [
      name.padEnd(18),
      ...[row.changed, row.equal, row.missing, row.wrong, row.extra].map((n) => String(n).padStart(9)),
      `${((100 * row.equal) / Math.max(1, row.changed)).toFixed(4).padStart(10)} %`,
    ].join('');
  const header = `${'category'.padEnd(18)}${['changed', 'equal', 'missing', 'wrong', 'extra'].map((n) => n.padStart(9)).join('')}`;
  return [header, ...[...diff.rows].map(([name, row]) => line(name, row)), line('total', diff.total)].join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      image: { type: 'string' },
      profile: { type: 'string' },
      variant: { type: 'string', default: 'max' },
      recording: { type: 'string' },
      list: { type: 'string' },
    },
  });
  if (values.image === undefined || values.recording === undefined)
    throw new Error('--image and --recording are needed');
  const builtin = fileURLToPath(new URL('../test/conformance/boot-bytes.json', import.meta.url));
  const profile = readProfile(
    values.profile === undefined || values.profile === 'max' ? builtin : values.profile,
    values.variant,
  );
  const kernel = await readRawKernel(readFileSync(values.image), values.image);
  if (!kernel.ok) throw new Error(kernel.fault.detail);
  const diff = bootDiff(kernel.value, profile, readRecording(values.recording));
  process.stdout.write(`${formatTable(diff)}\n\npatched in ${diff.patchMs.toFixed(0)} ms\n`);
  for (const [name, count] of Object.entries(diff.result.counts)) process.stdout.write(`  ${name}: ${count}\n`);
  for (const unknown of diff.result.unknowns)
    process.stdout.write(`  unknown: ${unknown.category} (${unknown.count}): ${unknown.reason}\n`);
  for (const difference of diff.differences) {
    if (values.list === 'all' || values.list === difference.category) process.stdout.write(`${difference.line}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
