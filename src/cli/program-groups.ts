/** Commands that come in groups: programs, maps, modules, scenarios, workloads, faults. */
import { type Command, Option } from 'commander';
import { clientCommand, type Finish, integer, positive, sequence } from './command-kit.ts';
import { bpfConformancePlugin } from './commands/bpf.ts';
import * as fault from './commands/fault.ts';
import * as map from './commands/map.ts';
import * as modules from './commands/modules.ts';
import * as programs from './commands/program.ts';
import * as workload from './commands/workload.ts';
import { type CommonOptions, type Context, createContext } from './context.ts';
import type { Io } from './io.ts';

export function addBpfCommands(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  clientCommand(program, 'bpf-conformance-plugin', 'run a program as the bpf_conformance suite drives a plugin')
    .argument('[memory]', 'memory in hex', '')
    .addOption(new Option('--via <how>', 'what runs it').choices(['jit', 'interpreter']).default('jit'))
    .action(async (memory: string, o: CommonOptions & { readonly via: string }) =>
      finish(await bpfConformancePlugin(at(o), memory, o)),
    );
}

export function addMapCommands(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  const group = program.command('map').description('BPF maps');
  clientCommand(group, 'ls', 'maps').action(async (o: CommonOptions) => finish(await map.ls(at(o))));
  clientCommand(group, 'create', 'make one')
    .argument('<type>', 'hash, array, ringbuf, …')
    .argument('<name>')
    .argument('<entries>', 'max_entries; of a ring buffer: its bytes')
    .option('--key <bytes>', 'size of a key (default: 4)')
    .option('--value <bytes>', 'size of a value (default: 4)')
    .option('--flags <n>', 'BPF_F_*')
    .action(async (type: string, name: string, entries: string, o: CommonOptions & map.MapFlags) =>
      finish(await map.create(at(o), type, name, entries, o)),
    );
  const one = (name: string, what: string): Command => clientCommand(group, name, what).argument('<id>', 'map');
  one('show', 'one map').action(async (id: string, o: CommonOptions) => finish(await map.showMap(at(o), id)));
  one('rm', 'delete it').action(async (id: string, o: CommonOptions) => finish(await map.remove(at(o), id)));
  one('dump', 'what it holds').action(async (id: string, o: CommonOptions) => finish(await map.dump(at(o), id)));
  const key = ['<key>', '7, 0xff; hex:00ff and str:text are bytes'] as const;
  one('lookup', 'one element')
    .argument(...key)
    .action(async (id: string, k: string, o: CommonOptions) => finish(await map.lookup(at(o), id, k)));
  one('update', 'write one element')
    .argument(...key)
    .argument('<value>', 'like a key; prog_… is a program')
    .action(async (id: string, k: string, v: string, o: CommonOptions) => finish(await map.update(at(o), id, k, v)));
  one('delete', 'delete one element')
    .argument(...key)
    .action(async (id: string, k: string, o: CommonOptions) => finish(await map.forget(at(o), id, k)));
  one('records', 'take records out of a ring buffer or perf buffers')
    .option('--wait <seconds>', 'for a first one', positive)
    .option('--keep', 'leave them there')
    .action(async (id: string, o: CommonOptions & { readonly wait?: number; readonly keep?: boolean }) =>
      finish(await map.records(at(o), id, o)),
    );
  for (const command of group.commands) command.exitOverride().copyInheritedSettings(program);
}

export function addProgramCommands(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  const addLoad = (parent: Command): Command =>
    clientCommand(parent, 'load', 'load a BPF object that clang has compiled')
      .argument('<file>')
      .option('--section <name>', 'the section or function, where the object has several programs')
      .option('--all', 'all its programs')
      .action(async (file: string, o: CommonOptions & programs.LoadFlags) =>
        finish(await programs.load(at(o), file, o)),
      );
  addLoad(program);
  clientCommand(program, 'trace-pipe', 'take out what your programs wrote with bpf_trace_printk')
    .option('--wait <seconds>', 'for a first line', positive)
    .option('--keep', 'leave them there')
    .action(async (o: CommonOptions & { readonly wait?: number; readonly keep?: boolean }) =>
      finish(await programs.tracePipe(at(o), o)),
    );
  const group = program.command('program').description('BPF programs');
  addLoad(group);
  clientCommand(group, 'ls', 'programs').action(async (o: CommonOptions) => finish(await programs.ls(at(o))));
  clientCommand(group, 'dump', 'its instructions, as bpftool prints them')
    .argument('<id>', 'program')
    .option('--jited', 'its machine code')
    .action(async (id: string, o: CommonOptions & { readonly jited?: boolean }) =>
      finish(await programs.dump(at(o), id, o.jited === true ? 'jited' : 'xlated')),
    );
  clientCommand(group, 'unload', 'unload one that no attachment runs')
    .argument('<id>', 'program')
    .action(async (id: string, o: CommonOptions) => finish(await programs.unload(at(o), id)));
  for (const command of group.commands) command.exitOverride().copyInheritedSettings(program);
}

export function addModuleCommands(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  const group = program.command('module').description('modules: load FILE, ls, unload NAME');
  clientCommand(group, 'load', 'load a .ko, .ko.xz or .ko.gz')
    .argument('<file>')
    .option('--coming', 'stop before its init function runs')
    .action(async (file: string, o: CommonOptions & { readonly coming?: boolean }) =>
      finish(await modules.load(at(o), file, o.coming === true ? 'coming' : 'live')),
    );
  clientCommand(group, 'ls', 'modules that are loaded').action(async (o: CommonOptions) =>
    finish(await modules.ls(at(o))),
  );
  clientCommand(group, 'unload', 'unload')
    .argument('<name>', 'module')
    .action(async (name: string, o: CommonOptions) => finish(await modules.unload(at(o), name)));
  for (const command of group.commands) command.exitOverride().copyInheritedSettings(program);
}

export function addScenario(program: Command, io: Io, finish: Finish): void {
  const group = program.command('scenario').description('several clients against a live service, as a file');
  clientCommand(group, 'run', 'run it, and compare what each is told with what it should be')
    .argument('<file>', 'examples/scenarios has some')
    .option('--seed <n>', 'one request at a time, in an order that follows from this', sequence)
    .action(async (file: string, o: CommonOptions & { readonly seed?: number }) => {
      // The schema library is loaded for this command only.
      const { scenarioRun } = await import('./commands/scenario.ts');
      finish(await scenarioRun(io, file, o));
    });
  for (const command of group.commands) command.exitOverride().copyInheritedSettings(program);
}

export function addWorkload(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  const group = program.command('workload').description('calls in the background while owners come and go');
  clientCommand(group, 'start', 'start one')
    .argument('<file>', 'JSON {"calls": [{"function": …, "args": […]}], "cpus": …}; - is standard input')
    .action(async (file: string, o: CommonOptions) => finish(await workload.start(at(o), file)));
  clientCommand(group, 'ls', 'those that run or whose figures are kept').action(async (o: CommonOptions) =>
    finish(await workload.ls(at(o))),
  );
  clientCommand(group, 'show', 'its figures')
    .argument('<id>')
    .action(async (id: string, o: CommonOptions) => finish(await workload.one(at(o), id)));
  clientCommand(group, 'stop', 'let its calls end, and show its figures')
    .argument('<id>')
    .action(async (id: string, o: CommonOptions) => finish(await workload.stop(at(o), id)));
  for (const command of group.commands) command.exitOverride().copyInheritedSettings(program);
}

export function addFault(program: Command, io: Io, finish: Finish): void {
  const at = (options: CommonOptions): Context => createContext(io, options);
  const group = program.command('fault').description('faults injected by name, into a service started for it');
  clientCommand(group, 'inject', 'arm one')
    .argument('<name>', 'dropped-ipi, delayed-sync, crash-between-phases, journal-stall, journal-full, clock-jump')
    .option('--times <n>', 'how often it happens (default: once)', positive)
    .option('--after <n>', 'how often it could happen before it first does', integer)
    .option('--command <kind>', 'only in commands of this kind')
    .option('--client <name>', 'only in commands of this client')
    .option('--place <place>', 'only where this is being poked')
    .option('--ms <n>', 'milliseconds; a clock may jump back: --ms=-5000', integer)
    .option('--cpu <n>', 'the CPU that does not acknowledge', integer)
    .option('--phase <n>', 'the step of a command at which it ends', positive)
    .addOption(new Option('--mode <how>', 'how it ends').choices(['rollback', 'exit']))
    .action(async (name: string, o: CommonOptions & fault.FaultFlags) => finish(await fault.inject(at(o), name, o)));
  clientCommand(group, 'ls', 'those that are armed or have happened').action(async (o: CommonOptions) =>
    finish(await fault.ls(at(o))),
  );
  clientCommand(group, 'rm', 'take one back: what it holds up goes on')
    .argument('<id>')
    .action(async (id: string, o: CommonOptions) => finish(await fault.remove(at(o), id)));
  for (const command of group.commands) command.exitOverride().copyInheritedSettings(program);
}
