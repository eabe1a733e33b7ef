/** Where a command writes; passed in, so that tests can read it. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What goes to `err` is read by somebody while it comes. */
  readonly isTerminal?: boolean;
  /** Told of Ctrl-C instead of ending the process, once; the next one ends it. Answers how to forget that. */
  readonly onInterrupt?: (listener: () => void) => () => void;
}

/** 0 ok, 1 refused by a rule or found not to hold, 2 usage, 3 service unreachable, 4 stopped or at a bound before there was an answer. */
export type ExitCode = 0 | 1 | 2 | 3 | 4;

export const processIo: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
  isTerminal: process.stderr.isTTY === true,
  onInterrupt: (listener) => {
    process.once('SIGINT', listener);
    return () => process.off('SIGINT', listener);
  },
};
