/** Modules: loading and unloading as commands, and what is told about them. */
import { err, ok, type Result } from '../base/index.ts';
import { unpackModule } from '../image/index.ts';
import {
  decideModuleLoad,
  decideModuleStep,
  dependents,
  type LoadedModule,
  MODULE_UNKNOWN,
  type ModuleDecision,
  type ModuleStep,
  moduleHolders,
  refuse,
  type Txn,
} from '../registry/index.ts';
import { announcePokes } from './announce-pokes.ts';
import { costAnswer, wireAddress } from './answers.ts';
import type { Command, CommandTurn } from './command.ts';
import { reject } from './commands.ts';
import type { Cost, Kernel } from './kernel.ts';
import { pageOf } from './paging.ts';
import type { Caller } from './service.ts';
import type { ModuleAnswer, ModuleCalls, ModuleDetails, ModuleView, UnloadAnswer } from './service-modules.ts';

function moduleView(view: Txn, module: LoadedModule): ModuleView {
  const { image } = module;
  return {
    name: module.name,
    state: module.state,
    client: module.client,
    since: new Date(module.sinceMs).toISOString(),
    size: image.areas.reduce((sum, area) => sum + area.size, 0),
    sha256: image.sha256,
    vermagic: image.vermagic ?? null,
    license: image.license ?? null,
    counts: {
      symbols: image.symbols.length,
      exports: image.exports.length,
      ftraceSites: image.ftraceSites.length,
      jumpLabels: image.jumpLabels.count,
      staticCalls: image.staticCalls.count,
      btfFunctions: image.btf?.count ?? 0,
    },
    uses: image.uses,
    usedBy: dependents(view, module.name),
    holders: view.holders(moduleHolders(view, module)),
  };
}

function moduleDetails(view: Txn, module: LoadedModule): ModuleDetails {
  return {
    ...moduleView(view, module),
    sections: module.image.sections.map(({ name, area, start, size }) => ({
      name,
      area,
      address: wireAddress(view.world, start),
      size,
    })),
    patched: module.image.counts,
  };
}

function oneModule(kernel: Kernel, name: string): Result<ModuleDetails> {
  const module = kernel.state.modules.find((each) => each.name === name);
  return module === undefined
    ? err(refuse(MODULE_UNKNOWN, { detail: `${name} is not loaded.`, place: name, holders: [] }))
    : ok(moduleDetails(kernel.view(), module));
}

interface Done {
  readonly module: LoadedModule;
  readonly cost: Cost;
  readonly sequence: number;
}

function carryOut(
  { kernel, held, caller }: CommandTurn,
  decision: ModuleDecision,
  what: Readonly<Record<string, unknown>>,
): Result<Done> {
  const { outcome } = decision;
  // Places are told as they were while the module was there.
  const isUnload = decision.state.modules.length < kernel.state.modules.length;
  if (isUnload && outcome.kind === 'granted') announcePokes(kernel, caller, null, decision.ops);
  const cost = kernel.apply(held, decision, { client: caller.client, kind: 'module' });
  if (outcome.kind === 'refused') return reject(kernel, caller, what, outcome.fault);
  const { module } = outcome;
  const { sequence } = kernel.events.append('module', {
    module: module.name,
    state: isUnload ? 'gone' : module.state,
    client: caller.client,
    warnings: decision.warnings,
  });
  if (!isUnload) announcePokes(kernel, caller, null, decision.ops);
  return ok({ module, cost, sequence });
}

function answer(kernel: Kernel, decision: ModuleDecision, done: Result<Done>): Result<ModuleAnswer> {
  if (!done.ok) return done;
  const { module, cost, sequence } = done.value;
  return ok({
    ...moduleDetails(kernel.view(), module),
    cost: costAnswer(cost, cost.textMutexHeldUs),
    sequence,
    warnings: decision.warnings,
  });
}

interface LoadInput {
  /** The unpacked .ko, base64. */
  readonly file: string;
  readonly until: 'coming' | 'live';
}

export const MODULE_LOAD: Command<LoadInput, ModuleAnswer> = {
  kind: 'module-load',
  describe: () => 'load a module',
  run(turn, { file, until }) {
    const { kernel, caller, now } = turn;
    const decision = decideModuleLoad(kernel.world, kernel.state, kernel.text, {
      file: new Uint8Array(Buffer.from(file, 'base64')),
      until,
      client: caller.client,
      tenant: caller.tenant,
      nowMs: now.ms,
      sequence: kernel.events.next,
    });
    return answer(kernel, decision, carryOut(turn, decision, { module: 'load' }));
  },
};

interface StepInput {
  readonly name: string;
  readonly step: ModuleStep;
}

const decideStep = ({ kernel }: CommandTurn, { name, step }: StepInput): ModuleDecision =>
  decideModuleStep(kernel.world, kernel.state, kernel.text, name, step);

export const MODULE_STATE: Command<StepInput, ModuleAnswer> = {
  kind: 'module-state',
  describe: ({ name, step }) => `module ${name} ${step}`,
  run(turn, input) {
    const decision = decideStep(turn, input);
    return answer(turn.kernel, decision, carryOut(turn, decision, { module: input.name, state: input.step }));
  },
};

export const MODULE_UNLOAD: Command<{ readonly name: string }, UnloadAnswer> = {
  kind: 'module-unload',
  describe: ({ name }) => `unload ${name}`,
  run(turn, { name }) {
    const decision = decideStep(turn, { name, step: 'gone' });
    const done = carryOut(turn, decision, { module: name, state: 'gone' });
    if (!done.ok) return done;
    const { cost, sequence } = done.value;
    return ok({
      name,
      verdict: 'unloaded' as const,
      cost: costAnswer(cost, cost.textMutexHeldUs),
      sequence,
      warnings: decision.warnings,
    });
  },
};

/** Unpacking needs no lock and may take a while; it is done before the command waits for its turn. */
async function loadModule(
  kernel: Kernel,
  caller: Caller,
  file: Uint8Array,
  until: 'coming' | 'live',
): Promise<Result<ModuleAnswer>> {
  const unpacked = await unpackModule(file);
  if (!unpacked.ok) return reject(kernel, caller, { module: 'load' }, unpacked.fault);
  return kernel.execute(MODULE_LOAD, caller, { file: Buffer.from(unpacked.value).toString('base64'), until });
}

export function moduleCalls(kernel: Kernel): ModuleCalls {
  return {
    modules: (page) => pageOf(kernel.state.modules, page, (module) => moduleView(kernel.view(), module)),
    module: (name) => oneModule(kernel, name),
    loadModule: (caller, file, until) => loadModule(kernel, caller, file, until),
    setModuleState: (caller, name, step) => kernel.execute(MODULE_STATE, caller, { name, step }),
    unloadModule: (caller, name) => kernel.execute(MODULE_UNLOAD, caller, { name }),
  };
}
