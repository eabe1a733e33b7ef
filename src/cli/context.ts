import { type Answer, type Client, createClient } from '../client/index.ts';
import type { ExitCode, Io } from './io.ts';
import { problemText } from './output.ts';

export const DEFAULT_SERVER = 'http://127.0.0.1:7700';

/** Options that every client command has. */
export interface CommonOptions {
  readonly server?: string;
  readonly json?: boolean;
}

export interface Context {
  readonly client: Client;
  readonly io: Io;
  readonly isJson: boolean;
  /** Prints an answer (or its problem) and gives the exit status. */
  show<T>(answer: Answer<T>, render: (value: T) => string, codeOf?: (value: T) => ExitCode): ExitCode;
}

export function createContext(io: Io, options: CommonOptions): Context {
  const token = io.env['KTEXTD_TOKEN'];
  const session = io.env['KTEXTD_SESSION'];
  const label = io.env['KTEXTD_CLIENT'] ?? 'cli';
  const client = createClient({
    server: options.server ?? io.env['KTEXTD_SERVER'] ?? DEFAULT_SERVER,
    client: label,
    ...(token === undefined || token === '' ? {} : { token }),
    ...(session === undefined || session === '' ? {} : { session }),
  });
  const isJson = options.json === true;
  return {
    client,
    io,
    isJson,
    show(answer, render, codeOf = () => 0) {
      if (!answer.ok) {
        io.err(problemText(answer.problem));
        if (isJson) io.out(`${JSON.stringify(answer.problem)}\n`);
        return 1;
      }
      io.out(isJson ? `${JSON.stringify(answer.value)}\n` : render(answer.value));
      return codeOf(answer.value);
    },
  };
}
