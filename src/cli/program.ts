/** The command line: every command, its options, and the exit status. */
import { Command, CommanderError, Option } from 'commander';
import { AddressError, UnreachableError } from '../client/index.ts';
import { clientCommand, type Finish, positive, repeated, sequence } from './command-kit.ts';
import { type CallFlags, call, callFlags } from './commands/call.ts';
import * as change from './commands/change.ts';
import { events } from './commands/events.ts';
import { type ExploreFlags, explore } from './commands/explore.ts';
import * as journal from './commands/journal.ts';
import * as look from './commands/look.ts';
import { type CommonOptions, type Context, createContext } from './context.ts';
import type { ExitCode, Io } from './io.ts';
import {
  addBpfCommands,
  addFault,
  addMapCommands,
  addModuleCommands,
  addProgramCommands,
  addScenario,
  addWorkload,
} from './program-groups.ts';
import { type ServeOptions, serve } from './serve.ts';
import { renderUsage, UsageError } from './usage.ts';

function addJournal(program: Command, io: Io, finish: Finish): void {
  const group = program.command('journal').description('the journal of a service that does not run (--data DIR)');
  const json = '--json';
  group
    .command('check')
    .description('all that is wrong with it; changes nothing')
    .argument('<dir>')
    .option(json, 'print the answer as JSON')
    .action(async (dir: string, o: CommonOptions) => finish(await journal.check(io, dir, o)));
  group
    .command('repair')
    .description('keep a copy, then cut it at the first damaged record')
    .argument('<dir>')
    .option(json, 'print the answer as JSON')
    .action(async (dir: string, o: CommonOptions) => finish(await journal.repair(io, dir, o)));
  group
    .command('export')
    .description('write it to standard output as lines of JSON')
    .argument('<dir>')
    .action(async (dir: string) => finish(await journal.exportTo(io, dir)));
  group
    .command('import')
    .description('make the journal of an export in a directory that has none')
    .argument('<file>', 'the export; - is standard input')
    .argument('<dir>')
    .option(json, 'print the answer as JSON')
    .action(async (file: string, dir: string, o: CommonOptions) => finish(await journal.importFrom(io, file, dir, o)));
  for (const command of group.commands) command.exitOverride().copyInheritedSettings(program);
}

function addExplore(program: Command, io: Io, finish: Finish): void {
  program
    .command('explore')
    .description('try every interleaving of a scenario, in this process; docs/explore.md')
    .argument('<file>', 'the scenario, or its name in examples/explorations')
    .option('--mutant <name>', 'put in a known bug (docs/mutants)')
    .option('--fetch <model>', 'how stale CPUs may fetch: weak, quad, line, sc')
    .addOption(
      new Option('--strategy <how>', 'what is tried')
        .choices(['exhaustive', 'breadth', 'random', 'pct'])
        .default('exhaustive'),
    )
    .option('--seed <n>', 'random, pct', positive, 1)
    .option('--schedules <n>', 'random, pct: how many', positive, 100_000)
    .option('--changes <n>', 'pct: places where priorities change', positive, 3)
    .option('--replay <schedule>', 'run this one schedule')
    .option('--max-states <n>', 'give up behind so many', positive, 20_000_000)
    .option('--max-seconds <n>', 'give up then', positive, 1800)
    .option('--unreduced', 'every boundary between instructions is a step, and equal CPUs stay apart')
    .option('--trace <path>', 'write the run that is shown, as SVG or (.json) as JSON')
    .option('--checkpoint <path>', 'where to leave what a later run goes on from (default NAME.checkpoint)')
    .option('--resume <path>', 'go on from there')
    .option('--json', 'print the answer as JSON')
    .action(async (file: string, o: ExploreFlags) => finish(await explore(io, file, o)));
}

function addLookCommands(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  clientCommand(program, 'image', 'the kernel that is loaded').action(async (o: CommonOptions) =>
    finish(await look.image(at(o))),
  );
  clientCommand(program, 'symbols', 'symbols that match, and what can be attached to them')
    .argument('[glob]', 'pattern of * and ?')
    .addOption(
      new Option('--attachable <kind>', 'only where this attaches').choices([
        'kprobe',
        'ftrace',
        'fentry',
        'fmodRet',
        'livepatch',
      ]),
    )
    .option('--limit <n>', 'how many at most', positive, 100)
    .action(
      async (glob: string | undefined, o: CommonOptions & { readonly limit: number; readonly attachable?: string }) =>
        finish(await look.symbols(at(o), glob, o)),
    );
  clientCommand(program, 'blame', 'who changed these bytes, when, and what they hide')
    .argument('<place>')
    .option('--length <bytes>', 'how many bytes', positive, 64)
    .action(async (place: string, o: CommonOptions & { readonly length: number }) =>
      finish(await look.blame(at(o), place, o.length)),
    );
  clientCommand(program, 'disasm', 'instructions at a place')
    .argument('<place>')
    .option('--length <bytes>', 'how many bytes', positive, 64)
    .action(async (place: string, o: CommonOptions & { readonly length: number }) =>
      finish(await look.disasm(at(o), place, o.length)),
    );
  clientCommand(program, 'ls', 'attachments')
    .option('--kind <kind>', 'only this kind')
    .option('--place <place>', 'only those at this place')
    .action(async (o: CommonOptions & { readonly kind?: string; readonly place?: string }) => {
      const query = {
        ...(o.kind === undefined ? {} : { kind: o.kind }),
        ...(o.place === undefined ? {} : { place: o.place }),
      };
      finish(await look.ls(at(o), query));
    });
  clientCommand(program, 'site', 'one site: bytes, owners, revision, what is left')
    .argument('<place>')
    .action(async (place: string, o: CommonOptions) => finish(await look.site(at(o), place)));
  clientCommand(program, 'audit', 'compare all text with what its owners account for').action(
    async (o: CommonOptions) => finish(await look.audit(at(o))),
  );
  clientCommand(program, 'rules', 'what can be refused, and why')
    .argument('[id]')
    .action(async (id: string | undefined, o: CommonOptions) => finish(await look.rules(at(o), id)));
}

function addChangeCommands(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  clientCommand(
    program,
    'attach',
    'attach, as bpftrace users say it: kprobe:tcp_set_state+0x10, fentry:tcp_set_state, kprobe_multi:tcp_*',
  )
    .argument('<spec>', 'KIND:PLACE')
    .option('-o, --option <key=value>', 'an option of the kind; may be repeated', repeated, [])
    .option('--post-handler', 'kprobe: also run after the instruction')
    .option('--save-regs', 'ftrace: save all registers')
    .option('--ipmodify', 'ftrace: may change the instruction pointer')
    .option('--shares-ipmodify', 'ftrace_direct: has an ops_func that agrees')
    .option('--sleepable', 'fentry, fexit, fmod_ret: a sleepable program')
    .addOption(new Option('--via <door>', 'kprobe, kretprobe: which front door').choices(['kernel', 'perf', 'tracefs']))
    .option('--program <id>', 'the program to attach')
    .option('--idempotency-key <key>', 'a repeat with this key gets the first answer')
    .action(async (spec: string, o: CommonOptions & change.AttachFlags) => finish(await change.attach(at(o), spec, o)));
  clientCommand(program, 'detach', 'detach')
    .argument('<id>', 'attachment')
    .action(async (id: string, o: CommonOptions) => finish(await change.detach(at(o), id)));
  clientCommand(program, 'call', 'call a function of the kernel on a simulated CPU: who fires, and what comes back')
    .argument('<function>', 'a place')
    .argument('[args...]', '48, -1, 0xff; hex:00ff and str:text are buffers; @strcmp is an address')
    .option('--sample', 'missing arguments by prototype')
    .option('--cpu <n>', 'on this CPU', Number)
    .action(async (name: string, args: readonly string[], o: CommonOptions & CallFlags) =>
      finish(await call(at(o), name, args, callFlags(o))),
    );
  clientCommand(program, 'plan', 'what steps would do; nothing is changed')
    .argument('<file>', 'JSON {"steps": [{"attach": {…}} or {"detach": ID}]}; - is standard input')
    .option('--kernel <version>', 'by the rules of this version')
    .option('--solve', 'find an order of the steps in which all are granted, or what cannot coexist')
    .action(async (file: string, o: CommonOptions & change.PlanFlags) => finish(await change.plan(at(o), file, o)));
  clientCommand(program, 'events', 'what happens, as it happens')
    .option('--after <sequence>', 'resume after this event', sequence)
    .option('--types <list>', 'only these, comma-separated')
    .option('--count <n>', 'end after so many', positive)
    .action(
      async (o: CommonOptions & { readonly after?: number; readonly types?: string; readonly count?: number }) => {
        const query = {
          ...(o.after === undefined ? {} : { after: o.after }),
          ...(o.types === undefined ? {} : { types: o.types.split(',') }),
        };
        finish(await events(at(o), query, o.count ?? Number.POSITIVE_INFINITY));
      },
    );
}

function addServe(program: Command, io: Io, finish: Finish): void {
  program
    .command('serve')
    .description('run the service')
    .option('--image <path>', 'vmlinuz or vmlinux to load, or builtin', 'builtin')
    .option('--profile <name>', 'boot profile: a name, or a JSON file', 'max')
    .addOption(
      new Option('--strictness <word>', 'safe refuses what Linux gets wrong')
        .choices(['safe', 'linux'])
        .default('safe'),
    )
    .option('--variants', 'also what the thread of 2019 proposed and Linux did not take (docs/variants.md)')
    .option('--listen <address>', 'HOST:PORT or unix:PATH', '127.0.0.1:7700')
    .option('--data <dir>', 'keep attachments in this directory, across restarts and crashes')
    .option('--ephemeral', 'keep nothing across restarts (the default)')
    .option('--token-file <file>', 'lines NAME TOKEN [read|attach|admin]')
    .option('--max-attachments <n>', 'a client may have so many (default: no limit)', positive)
    .option('--max-sites <n>', 'the attachments of a client may be at so many sites (default: no limit)', positive)
    .option('--max-rate <n>', 'requests a second that a client may send (default: no limit)', positive)
    .option('--allow-host <name>', 'a further name in the Host header; may be repeated', repeated, [])
    .option(
      '--log-level <level>',
      'fatal error warn info debug trace silent; on stderr as JSON (default: info, warn on a terminal)',
    )
    .option('--inject-faults', 'for tests only: let administrators make commands fail and the process end, by name')
    .option('--no-cache', 'do not read or write the cache of loaded images')
    .action(async (o: ServeOptions) => finish(await serve(io, o)));
}

/** Which word of the command line Commander objects to. */
function offendingWord(message: string): string | undefined {
  return /'(?:[^']*?\s)?([^'\s]+)'/.exec(message)?.[1] ?? undefined;
}

function commanderUsage(error: CommanderError, args: readonly string[]): UsageError {
  const message = error.message.replace(/^error: /, '').replace(/\n/g, ' ');
  const line = `ktextd ${args.join(' ')}`;
  const quoted = [...message.matchAll(/'([^']+)'/g)].map((m) => m[1] ?? '');
  const word = [...quoted].reverse().find((q) => line.includes(q)) ?? offendingWord(message);
  const column = word === undefined ? -1 : line.indexOf(word);
  return new UsageError(message, line, column < 0 ? line.length : column);
}

function codeOf(error: unknown, args: readonly string[], io: Io): ExitCode {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') return 2;
    io.err(renderUsage(commanderUsage(error, args)));
    return 2;
  }
  if (error instanceof UsageError) {
    io.err(renderUsage(error));
    return 2;
  }
  if (error instanceof AddressError) {
    io.err(`ktextd: ${error.message}\n`);
    return 2;
  }
  if (error instanceof UnreachableError) {
    io.err(`ktextd: ${error.message}\n`);
    return 3;
  }
  throw error;
}

/** Runs one command line (without `node` and the script's name); answers the exit status. */
export async function run(args: readonly string[], io: Io, version: string): Promise<ExitCode> {
  let code: ExitCode = 0;
  const finish: Finish = (given) => {
    code = given;
  };
  const program = new Command('ktextd')
    .description('A service that owns a simulated kernel text image and coordinates everyone who patches it')
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => {} });
  addServe(program, io, finish);
  addJournal(program, io, finish);
  addExplore(program, io, finish);
  addLookCommands(program, io, finish);
  addChangeCommands(program, io, finish);
  addBpfCommands(program, io, finish);
  addMapCommands(program, io, finish);
  addProgramCommands(program, io, finish);
  addModuleCommands(program, io, finish);
  addScenario(program, io, finish);
  addWorkload(program, io, finish);
  addFault(program, io, finish);
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    return codeOf(error, args, io);
  }
}
