/** Commands about modules. */
import { readFileSync } from 'node:fs';
import type { ModuleAnswer, ModulePage, ModuleView, UnloadAnswer } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { UsageError } from '../usage.ts';

function readModule(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new UsageError(`cannot be read: ${code}`, file, 0);
  }
}

const line = ({ name, state, size, counts, uses, usedBy, holders }: ModuleView): string => {
  const held = holders.length + usedBy.length;
  const others = [
    ...(uses.length > 0 ? [`uses ${uses.join(', ')}`] : []),
    ...(usedBy.length > 0 ? [`used by ${usedBy.join(', ')}`] : []),
    ...(holders.length > 0 ? [`held by ${holders.map((holder) => holder.attachment).join(', ')}`] : []),
  ];
  const tail = others.length === 0 ? '' : `  ${others.join('; ')}`;
  return `${name}  ${state}  ${size} bytes  ${counts.ftraceSites} ftrace sites  ${held} references${tail}\n`;
};

const warned = (warnings: readonly string[]): string => warnings.map((warning) => `warning: ${warning}\n`).join('');

const loaded = (module: ModuleAnswer): string => line(module) + warned(module.warnings);
const listed = (page: ModulePage): string => page.items.map(line).join('');
const unloaded = ({ name, warnings }: UnloadAnswer): string => `${name} unloaded\n${warned(warnings)}`;

export const load = async ({ client, show }: Context, file: string, until: 'coming' | 'live'): Promise<ExitCode> =>
  show(await client.loadModule(readModule(file), until), loaded);

export const ls = async ({ client, show }: Context): Promise<ExitCode> =>
  show(await client.modules({ limit: 1000 }), listed);

export const unload = async ({ client, show }: Context, name: string): Promise<ExitCode> =>
  show(await client.unloadModule(name), unloaded);
