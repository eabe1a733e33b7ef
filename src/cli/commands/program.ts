/** Commands about BPF programs. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { ProgramList, ProgramListingView, ProgramPage, ProgramView, TracePipeLines } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { UsageError } from '../usage.ts';

function readObject(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new UsageError(`cannot be read: ${code}`, file, 0);
  }
}

/** What the service allows in a name; the rest is underscores, as libbpf has it. */
const objectName = (file: string): string =>
  basename(file)
    .replace(/(?:\.bpf)?\.o$/, '')
    .replace(/[^A-Za-z0-9_.-]/g, '_')
    .slice(0, 64) || 'object';

const line = ({ id, type, name, attachTo, insns, jited, maps, attachments }: ProgramView): string => {
  const target = attachTo === null ? '' : ` for ${attachTo}`;
  const used = maps.length === 0 ? '' : `  maps ${maps.join(' ')}`;
  const by = attachments.length === 0 ? '' : `  run by ${attachments.join(' ')}`;
  return `${id}  ${type}${target}  ${name}  ${insns} instructions, ${jited.size} bytes${used}${by}\n`;
};

const listed = ({ items }: ProgramList | ProgramPage): string => items.map(line).join('');
const listing = (program: ProgramListingView): string => line(program) + program.listing;

export interface LoadFlags {
  readonly section?: string;
  readonly all?: boolean;
}

export async function load({ client, show }: Context, file: string, { section, all }: LoadFlags): Promise<ExitCode> {
  const bytes = readObject(file);
  const name = objectName(file);
  if (all === true) return show(await client.loadObjectPrograms(bytes, { name }), listed);
  return show(await client.loadObject(bytes, section === undefined ? { name } : { name, section }), line);
}

export const ls = async ({ client, show }: Context): Promise<ExitCode> =>
  show(await client.programs({ limit: 1000 }), listed);

export async function dump({ client, show }: Context, id: string, view: 'xlated' | 'jited'): Promise<ExitCode> {
  return show(await client.programListing(id, view), listing);
}

export const unload = async ({ client, show }: Context, id: string): Promise<ExitCode> =>
  show(await client.unloadProgram(id), line);

const traceText = ({ lines, lost }: TracePipeLines): string =>
  (lost === 0 ? '' : `[LOST ${lost} EVENTS]\n`).concat(...lines.map(({ line }) => `${line}\n`));

export async function tracePipe(
  { client, show }: Context,
  { wait = 0, keep = false }: { readonly wait?: number; readonly keep?: boolean },
): Promise<ExitCode> {
  const query = { waitMs: wait * 1000, max: 1000 };
  return show(await (keep ? client.tracePipe(query) : client.consumeTracePipe(query)), traceText);
}
