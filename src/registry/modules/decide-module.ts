/** Loading and unloading modules, as one decision each. */
import type { Fault, ReadableText } from '../../base/index.ts';
import { inModule, isInitArea, isTextArea, loadModuleImage, moduleName, withoutInit } from '../../image/index.ts';
import { bpfOpsFunc } from '../bpf/trampoline.ts';
import { type DecisionOf, guarded, refused } from '../decision.ts';
import type { LoadedModule } from '../model/loaded-module.ts';
import type { KernelState } from '../model/state.ts';
import {
  MODULE_EXISTS,
  MODULE_MALFORMED,
  MODULE_NO_ROOM,
  MODULE_NOT_LIVE,
  MODULE_RULES,
  MODULE_UNKNOWN,
} from '../rules/module.ts';
import { refuse } from '../rules/rule.ts';
import { Txn } from '../txn.ts';
import { type World, worldOf } from '../world.ts';
import { enableModuleSites, joinWholeTracers, releaseSites } from './ftrace-modules.ts';
import { keptBy } from './in-use.ts';
import { killProbes } from './kill-probes.ts';
import { klpModuleComing, klpModuleGoing } from './livepatch-modules.ts';
import { patchSites } from './patch-sites.ts';
import { modulePlaces, NoRoom, perCpuPlace } from './place-modules.ts';

export interface ModuleGranted {
  readonly module: LoadedModule;
}
export type ModuleDecision = DecisionOf<ModuleGranted>;

export interface LoadInput {
  /** An unpacked .ko. */
  readonly file: Uint8Array;
  /** Where loading stops: before the module's init function runs, or when it has returned. */
  readonly until: 'coming' | 'live';
  readonly client: string;
  readonly tenant: string;
  readonly nowMs: number;
  readonly sequence: number;
}

/** A fault of the loader, as the rule of that name. */
function asRule({ errno, rule, detail }: Fault): Fault {
  const sentence = detail.endsWith('.') ? detail : `The file is no module: ${detail}.`;
  const found = MODULE_RULES.find((each) => each.id === rule) ?? MODULE_MALFORMED;
  return refuse(found, { errno, detail: sentence, holders: [] });
}

function replaceModule(txn: Txn, module: LoadedModule): LoadedModule {
  txn.setModules(txn.modules.map((each) => (each.name === module.name ? module : each)));
  return module;
}

function freeText(
  txn: Txn,
  { name, image }: LoadedModule,
  isFreed: (kind: LoadedModule['image']['areas'][number]['kind']) => boolean,
): void {
  for (const { kind, start, bytes } of image.areas) {
    if (!isTextArea(kind) || !isFreed(kind)) continue;
    const expected = txn.text.bytes(start, bytes.length);
    txn.emit({ kind: 'remove', at: start, expected, what: `free_module ${name}`, after: ['rcu'] });
  }
}

/** What attachments no longer have: places in memory that was given back. */
function forgetPlaces(txn: Txn, isGone: (at: number) => boolean): void {
  for (const [id, attachment] of txn.attachments)
    if (attachment.sites.some(isGone))
      txn.attachments.set(id, { ...attachment, sites: attachment.sites.filter((site) => !isGone(site)) });
  for (const at of [...txn.kgdb.keys()]) if (isGone(at)) txn.kgdb.delete(at);
  for (const at of [...txn.quarantined.keys()]) if (isGone(at)) txn.quarantined.delete(at);
}

/** The init function has returned: do_init_module from MODULE_STATE_LIVE on. */
function goLive(txn: Txn, module: LoadedModule): LoadedModule {
  const init = module.image.areas.filter((area) => isInitArea(area.kind));
  const isInit = (at: number): boolean => init.some(({ start, size }) => at >= start && at < start + size);
  killProbes(txn, isInit);
  releaseSites(txn, [...module.image.ftraceSites].filter(isInit), false);
  freeText(txn, module, isInitArea);
  const live = replaceModule(txn, { ...module, state: 'live', image: withoutInit(module.image) });
  forgetPlaces(txn, isInit);
  return live;
}

/**
 * load_module from the laid-out module on:
 *   1. its text appears, finalized; its symbols, sites and tables are there
 *   2. ftrace_module_enable: ops that stand for its sites are switched on
 *   3. klp_module_coming: livepatches that name its functions are applied
 *   4. COMING notifiers: static branches and static calls follow their keys
 *   5. its init function runs, and what only that needed goes
 */
function load(txn: Txn, module: LoadedModule, until: LoadInput['until']): LoadedModule | Fault {
  const { image } = module;
  txn.setModules([module, ...txn.modules]);
  for (const { kind, start, bytes } of image.areas)
    if (isTextArea(kind) && bytes.length > 0)
      txn.emit({ kind: 'install', at: start, bytes, what: `load_module ${module.name}` });
  enableModuleSites(txn, image.ftraceSites);
  const fault = klpModuleComing(txn, image);
  if (fault !== undefined) return fault;
  patchSites(txn, image);
  joinWholeTracers(txn, [...image.ftraceSites]);
  return until === 'live' ? goLive(txn, module) : module;
}

function granted(txn: Txn, module: LoadedModule): ModuleDecision {
  return {
    outcome: { kind: 'granted', module },
    state: txn.finish(),
    ops: txn.ops,
    warnings: txn.warnings,
    replaced: txn.replaced,
  };
}

function existing(state: KernelState, name: string): Fault | undefined {
  const module = state.modules.find((each) => each.name === name);
  if (module === undefined) return undefined;
  return module.state === 'live'
    ? refuse(MODULE_EXISTS, { detail: `${name} is loaded.`, place: name, holders: [] })
    : refuse(MODULE_EXISTS, { errno: 'EBUSY', detail: `${name} is ${module.state}.`, place: name, holders: [] });
}

export function decideModuleLoad(
  core: World,
  state: KernelState,
  text: ReadableText,
  input: LoadInput,
): ModuleDecision {
  const world = worldOf(core, state.modules);
  const name = moduleName(input.file);
  if (!name.ok) return refused(state, asRule(name.fault));
  const fault = existing(state, name.value);
  if (fault !== undefined) return refused(state, fault);
  const places: number[] = [];
  const free = modulePlaces(state.modules, world.image.base);
  const perCpu = perCpuPlace(state.modules, (symbol) => world.image.symbols.byName(symbol)[0]?.address);
  let image: ReturnType<typeof loadModuleImage>;
  try {
    const allocate = (_kind: unknown, size: number): number => {
      const at = free(size);
      places.push(at);
      return at;
    };
    const placement = { allocate, perCpu };
    image = loadModuleImage({ file: input.file, image: world.image, placement });
  } catch (error) {
    if (!(error instanceof NoRoom)) throw error;
    return refused(state, refuse(MODULE_NO_ROOM, { detail: `${name.value} does not fit.`, holders: [] }));
  }
  if (!image.ok) return refused(state, asRule(image.fault));
  const module: LoadedModule = {
    name: name.value,
    state: 'coming',
    image: image.value,
    origin: { file: input.file, places, perCpu },
    client: input.client,
    tenant: input.tenant,
    sinceMs: input.nowMs,
    sequence: input.sequence,
  };
  return guarded<ModuleGranted>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const loaded = load(txn, module, input.until);
    return 'errno' in loaded ? refused(state, loaded, txn.warnings) : granted(txn, loaded);
  });
}

/** delete_module up to the GOING notifiers: probes become GONE, livepatches let go; the text is still there. */
function going(txn: Txn, module: LoadedModule): LoadedModule {
  killProbes(txn, (at) => inModule(module.image, at));
  klpModuleGoing(txn, module.image);
  return replaceModule(txn, { ...module, state: 'going' });
}

/** ftrace_release_mod and free_module: records and text go. */
function gone(txn: Txn, module: LoadedModule): void {
  const sites = [...module.image.ftraceSites];
  freeText(txn, module, () => true);
  releaseSites(txn, sites, true);
  txn.setModules(txn.modules.filter((each) => each.name !== module.name));
  forgetPlaces(txn, (at) => inModule(module.image, at));
}

export type ModuleStep = 'live' | 'going' | 'gone';

/** A step of a loaded module's life. Unloading a live module is `gone` at once; `going` stops after its exit function. */
export function decideModuleStep(
  core: World,
  state: KernelState,
  text: ReadableText,
  name: string,
  step: ModuleStep,
): ModuleDecision {
  const world = worldOf(core, state.modules);
  const module = state.modules.find((each) => each.name === name);
  if (module === undefined)
    return refused(state, refuse(MODULE_UNKNOWN, { detail: `${name} is not loaded.`, place: name, holders: [] }));
  return guarded<ModuleGranted>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    if (step === 'live') {
      if (module.state !== 'coming')
        return refused(
          state,
          refuse(MODULE_NOT_LIVE, { detail: `${name} is ${module.state}.`, place: name, holders: [] }),
        );
      return granted(txn, goLive(txn, module));
    }
    const kept = module.state === 'going' && step === 'gone' ? undefined : keptBy(txn, module);
    if (kept !== undefined) return refused(state, kept);
    const leaving = module.state === 'going' ? module : going(txn, module);
    if (step === 'gone') gone(txn, leaving);
    return granted(txn, leaving);
  });
}
