/** Where a command writes; passed in, so that tests can read it. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** 0 ok, 1 refused by a rule, 2 usage, 3 service unreachable. */
export type ExitCode = 0 | 1 | 2 | 3;

export const processIo: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
};
