/** What the definitions of commands share: parsers of options, and options that all clients' commands have. */
import { type Command, InvalidArgumentError } from 'commander';
import { DEFAULT_SERVER } from './context.ts';
import type { ExitCode } from './io.ts';

export function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a positive integer.');
  return Number(text);
}

export function integer(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be an integer.');
  return Number(text);
}

export function sequence(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be an event sequence.');
  return Number(text);
}

export const repeated = (value: string, before: readonly string[]): readonly string[] => [...before, value];

/** Runs a command and keeps its exit status. */
export type Finish = (code: ExitCode) => void;

export function clientCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--json', 'print the answer as JSON')
    .option('--server <url>', `http://HOST:PORT or unix:PATH (env KTEXTD_SERVER, default ${DEFAULT_SERVER})`);
}
