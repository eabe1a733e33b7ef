/** `ktextd serve`: starts the service in this process and says what it loaded, where it listens and what to try next. */
import { readFileSync, writeSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import closeWithGrace from 'close-with-grace';
import type { ExitCode, Io } from './io.ts';
import { statusLine } from './status-line.ts';
import { UsageError } from './usage.ts';

type Server = typeof import('../server/index.ts');
type Service = Awaited<ReturnType<Server['startService']>>;
type Recovery = Parameters<NonNullable<Parameters<Server['openCoordinator']>[0]['onRecovered']>>[0];
type Opened = Extract<Awaited<Service['opened']>, { readonly ok: true }>['value'];

export interface ServeOptions {
  readonly image: string;
  readonly profile: string;
  readonly strictness: 'safe' | 'linux';
  readonly variants?: boolean;
  readonly listen: string;
  readonly data?: string;
  readonly ephemeral?: boolean;
  readonly tokenFile?: string;
  readonly allowHost: readonly string[];
  readonly maxAttachments?: number;
  readonly maxSites?: number;
  readonly maxRate?: number;
  readonly logLevel?: string;
  readonly cache: boolean;
  readonly injectFaults?: boolean;
}

const STOP_MS_MAX = 5000;

function readTokens(server: Server, path: string): ReturnType<typeof parsedTokens> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(
      `cannot read the token file ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
    );
  }
  return parsedTokens(server, path, text);
}

function parsedTokens(server: Server, path: string, text: string) {
  const parsed = server.parseTokenFile(text);
  if (!parsed.ok) throw new UsageError(`${path}:${parsed.line}: ${parsed.message}`);
  return parsed.book;
}

function readLogLevel(server: Server, text: string | undefined) {
  const wanted = text ?? (process.stderr.isTTY ? 'warn' : 'info');
  const level = server.LOG_LEVELS.find((l) => l === wanted);
  if (level === undefined)
    throw new UsageError(`unknown log level; levels are ${server.LOG_LEVELS.join(' ')}`, wanted, 0);
  return level;
}

/** One line that is rewritten on a terminal; on anything else one line for each step. */
function progressPrinter(io: Io, isTerminal: boolean) {
  const line = statusLine(io.out);
  let step = '';
  return {
    show(progress: { readonly step: string; readonly done: number; readonly total: number }): void {
      const text = `loading: ${progress.step} ${progress.done}/${progress.total}`;
      if (isTerminal) line.show(text);
      else if (progress.step !== step) io.out(`${text}\n`);
      step = progress.step;
    },
    clear: line.clear,
  };
}

const cacheFolder = (io: Io): string => join(io.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'ktextd');

/** A function that can be traced: the one everybody knows, else the first that can. */
function exampleFunction(coordinator: Opened): string {
  const known = coordinator.symbol('tcp_set_state');
  if (known.ok && known.value.attachable.fentry) return known.value.name;
  const some = coordinator.symbols({ attachable: 'fentry', limit: 1 });
  return (some.ok ? some.value.items[0]?.name : undefined) ?? 'tcp_set_state';
}

/** Three command lines that work as printed, in this order. */
export function curlLines(address: string, name: string, hasTokens: boolean): readonly string[] {
  const isUnix = address.startsWith('unix:');
  const curl = `curl -s${isUnix ? ` --unix-socket '${address.slice(5)}'` : ''}${hasTokens ? ' -H "authorization: Bearer $KTEXTD_TOKEN"' : ''}`;
  const base = isUnix ? 'http://localhost' : address;
  const body = JSON.stringify({ kind: 'fentry', target: name });
  return [
    `${curl} ${base}/v1/symbols/${name}`,
    `${curl} -H 'content-type: application/json' -d '${body}' ${base}/v1/attachments`,
    `${curl} ${base}/v1/sites/${name}`,
  ];
}

/** Where what is attached is kept, and what was found there. */
function keepingLine(options: ServeOptions, recovery: Recovery | undefined): string {
  if (options.data === undefined || recovery === undefined) return 'kept in memory only';
  const { attachments, replayed, recoveryMs } = recovery;
  const found = `${attachments} attachments found there, ${replayed} commands run again in ${Math.round(recoveryMs)} ms`;
  return `kept in ${options.data}: ${found}`;
}

function printReady(
  io: Io,
  coordinator: Opened,
  address: string,
  { options, recovery }: { readonly options: ServeOptions; readonly recovery: Recovery | undefined },
): void {
  const hasTokens = options.tokenFile !== undefined;
  const image = coordinator.image();
  const n = (count: number): string => count.toLocaleString('en-US');
  const { counts } = image;
  const cached = image.fromCache ? ', from the cache' : '';
  io.out(`loaded   ${image.release} (${image.source}) in ${n(Math.round(image.loadMs))} ms${cached}\n`);
  io.out(
    `         ${n(counts.symbols)} symbols, ${n(counts.functions)} functions, ${n(counts.ftraceSites)} ftrace sites\n`,
  );
  io.out(`         profile ${image.profile}, rules of ${image.kernel}, strictness ${image.strictness}\n`);
  io.out(`         ${keepingLine(options, recovery)}\n`);
  if (options.injectFaults === true) io.out('         FAULT INJECTION IS ON: for tests only\n');
  const pages = address.startsWith('unix:') ? '' : ` (the page; /docs has the API)`;
  io.out(`listening on ${address}${pages}\n`);
  io.out('try next:\n');
  for (const line of curlLines(address, exampleFunction(coordinator), hasTokens)) io.out(`  ${line}\n`);
}

/** Stops on the first signal, exits at once on the second, and after {@link STOP_MS_MAX} in any case. */
function installShutdown(io: Io, service: Service, hasTokens: boolean): { uninstall(): void } {
  return closeWithGrace(
    {
      delay: STOP_MS_MAX,
      logger: false,
      // SIGHUP has the tokens read again; without a token file it ends the process as it always did.
      skip: hasTokens ? ['SIGHUP'] : [],
      onSecondSignal: () => process.exit(130),
      onTimeout: () => io.err('ktextd: stopping took too long\n'),
    },
    async ({ signal, err }) => {
      if (err !== undefined) io.err(`ktextd: ${err.stack ?? String(err)}\n`);
      await service.stop(signal ?? (err === undefined ? 'exit' : 'error'));
    },
  );
}

function checkOptions(options: ServeOptions): void {
  if (options.data !== undefined && options.ephemeral === true)
    throw new UsageError('--data and --ephemeral exclude one another');
}

/** SIGHUP: the token file is read again. A file that cannot be read, or has a fault, changes nothing. */
function reloadOnHangup(io: Io, server: Server, tokens: ReturnType<Server['reloadableTokens']>, path: string): void {
  process.on('SIGHUP', () => {
    try {
      tokens.replace(readTokens(server, path));
      io.err(`ktextd: ${tokens.size} tokens read from ${path}\n`);
    } catch (error) {
      io.err(`ktextd: the tokens stay as they were: ${(error as Error).message}\n`);
    }
  });
}

const FAULTS_WARNING = `
*** FAULT INJECTION IS ON (--inject-faults). For tests only: whoever is an administrator here can make
*** commands of others fail, hold them up, and end this process without warning. POST /v1/faults does it.

`;

/** As a power cut: nothing is flushed or closed, and nobody is told but the operator. */
function endProcess(fault: { readonly id: string; readonly name: string }): never {
  writeSync(2, `ktextd: the injected fault ${fault.id} (${fault.name}) ends this process now\n`);
  process.kill(process.pid, 'SIGKILL');
  throw new Error('a process that has been killed goes on');
}

/** What is started otherwise when faults can be injected. */
function faultInjection(server: Server, io: Io, options: ServeOptions) {
  if (options.injectFaults !== true) return undefined;
  io.err(FAULTS_WARNING);
  return server.openFaultInjection(endProcess);
}

async function start(
  server: Server,
  io: Io,
  options: ServeOptions,
  onProgress: Parameters<Server['startService']>[0]['onProgress'],
  onRecovered: (recovery: Recovery) => void,
) {
  const listen = server.parseListen(options.listen);
  if (listen === undefined) throw new UsageError('--listen takes HOST:PORT or unix:PATH', options.listen, 0);
  const { tokenFile } = options;
  const tokens = tokenFile === undefined ? undefined : server.reloadableTokens(readTokens(server, tokenFile));
  if (tokens !== undefined && tokenFile !== undefined) reloadOnHangup(io, server, tokens, tokenFile);
  const injection = faultInjection(server, io, options);
  try {
    return await server.startService({
      listen,
      ...(injection === undefined ? {} : { clock: injection.clock }),
      log: server.createLogger(readLogLevel(server, options.logLevel)),
      allowHosts: options.allowHost,
      ...(options.maxRate === undefined
        ? {}
        : { requestLimits: { ...server.REQUEST_LIMITS, perSecond: options.maxRate } }),
      ...(tokens === undefined ? {} : { tokens }),
      ...(onProgress === undefined ? {} : { onProgress }),
      open: (progress) =>
        server.openCoordinator({
          image: options.image,
          profile: options.profile,
          strictness: options.strictness,
          variants: options.variants === true,
          quotas: {
            ...(options.maxAttachments === undefined ? {} : { attachments: options.maxAttachments }),
            ...(options.maxSites === undefined ? {} : { sites: options.maxSites }),
          },
          ...(options.data === undefined ? {} : { data: { folder: options.data, version: server.VERSION } }),
          onRecovered,
          ...(injection === undefined ? {} : { faults: injection.faults }),
          ...(options.cache ? { cacheFolder: cacheFolder(io) } : {}),
          onProgress: progress,
        }),
    });
  } catch (error) {
    if (error instanceof server.ListenError) throw new UsageError(error.message);
    throw error;
  }
}

/** Runs until a signal; answers only when it could not start. */
export async function serve(io: Io, options: ServeOptions): Promise<ExitCode> {
  checkOptions(options);
  const server: Server = await import('../server/index.ts');
  const progress = progressPrinter(io, process.stdout.isTTY === true);
  let recovery: Recovery | undefined;
  const service = await start(server, io, options, progress.show, (found) => {
    recovery = found;
  });
  const shutdown = installShutdown(io, service, options.tokenFile !== undefined);
  const opened = await service.opened;
  progress.clear();
  if (opened.ok) {
    printReady(io, opened.value, service.address, { options, recovery });
    return 0;
  }
  io.err(`${opened.fault.errno}: ${opened.fault.detail}\n  rule      ${opened.fault.rule}\n`);
  // Its exit hook would turn the status into 0.
  shutdown.uninstall();
  await service.stop('loading failed');
  return 1;
}
