/** `ktextd journal`: works on the directory of a service that does not run. */
import { readFileSync } from 'node:fs';
import type { ExitCode, Io } from '../io.ts';
import { UsageError } from '../usage.ts';

type Tools = typeof import('../../journal/index.ts');
type Report = Extract<Awaited<ReturnType<Tools['checkJournal']>>, { readonly ok: true }>['value'];

/** Loaded only here: its database is a native module. */
const tools = (): Promise<Tools> => import('../../journal/index.ts');

interface Flags {
  readonly json?: boolean;
}

interface Refusal {
  readonly errno: string;
  readonly rule: string;
  readonly detail: string;
  readonly remedies?: readonly string[];
}

function refused(io: Io, { errno, rule, detail, remedies = [] }: Refusal): ExitCode {
  io.err(`${errno}: ${detail}\n  rule      ${rule}\n${remedies.map((each) => `  try       ${each}\n`).join('')}`);
  return 1;
}

function reportText({ identity, records, snapshots, damage }: Report): string {
  const of =
    identity === undefined
      ? 'of nobody yet'
      : `of ${identity.release}, profile ${identity.profile}, strictness ${identity.strictness}, made by ${identity.madeBy}`;
  const range = records === undefined ? 'no records' : `records ${records.first} to ${records.last}`;
  const lines = damage.map(({ where, reason }) => `  ${where}: ${reason}\n`).join('');
  const state = damage.length === 0 ? 'nothing is wrong' : `${damage.length} damaged:`;
  return `journal  ${of}\n         ${range}, snapshots ${snapshots.join(' ') || 'none'}\n${state}\n${lines}`;
}

export async function check(io: Io, folder: string, { json }: Flags): Promise<ExitCode> {
  const report = await (await tools()).checkJournal(folder);
  if (!report.ok) return refused(io, report.fault);
  io.out(json === true ? `${JSON.stringify(report.value)}\n` : reportText(report.value));
  return report.value.damage.length === 0 ? 0 : 1;
}

export async function repair(io: Io, folder: string, { json }: Flags): Promise<ExitCode> {
  const done = await (await tools()).repairJournal(folder);
  if (!done.ok) return refused(io, done.fault);
  const { copy, dropped, report } = done.value;
  if (json === true) io.out(`${JSON.stringify(done.value)}\n`);
  else {
    if (copy !== undefined) io.out(`dropped  ${dropped.join(', ')}\nkept as  ${copy}\n`);
    io.out(reportText(report));
  }
  return 0;
}

export async function exportTo(io: Io, folder: string): Promise<ExitCode> {
  const done = await (await tools()).exportJournal(folder, (line) => io.out(line));
  return done.ok ? 0 : refused(io, done.fault);
}

export async function importFrom(io: Io, file: string, folder: string, { json }: Flags): Promise<ExitCode> {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  const done = await (await tools()).importJournal(folder, text);
  if (!done.ok) return refused(io, done.fault);
  io.out(json === true ? `${JSON.stringify(done.value)}\n` : reportText(done.value));
  return done.value.damage.length === 0 ? 0 : 1;
}
