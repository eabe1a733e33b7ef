import { err, ok, type Result } from '../base/index.ts';
import { kernelBtf } from '../image/index.ts';
import { ATTACHMENT_UNKNOWN, kernelView, RULES, readSysctl, refuse } from '../registry/index.ts';
import { pokeView, siteView, wireAddress } from './answers.ts';
import { attachmentAnswer } from './attachment-answer.ts';
import { audit } from './audit.ts';
import { blame } from './blame.ts';
import { Calls } from './calls.ts';
import { attach, detach, setEnabled } from './commands.ts';
import type { DurableKernel } from './durable/durable-kernel.ts';
import type { EventLog } from './event-log.ts';
import { Explorations, explorationCalls } from './explorations.ts';
import { faultCalls } from './faults/fault-calls.ts';
import { Kernel, type KernelOptions } from './kernel.ts';
import { kernelsView, ruleView } from './kernels.ts';
import { startOptimizer, waitForKprobeOptimizer } from './kprobe-optimizer.ts';
import { KPROBE_PROFILE, kprobeProfile } from './kprobe-profile.ts';
import { MachineStates } from './machine-state.ts';
import { MapTurn } from './map-turn.ts';
import { mapCalls } from './maps.ts';
import { moduleCalls } from './modules.ts';
import { pageOf } from './paging.ts';
import { siteOf, textView } from './places.ts';
import { plan, unknownSteps } from './plan.ts';
import { toProblem } from './problem.ts';
import { ProgramRuns } from './program-runs.ts';
import { programCalls } from './programs.ts';
import { patchedSites, queryAttachments } from './queries.ts';
import { reset } from './reset.ts';
import { COORDINATOR_RULES, HISTORY_UNAVAILABLE } from './rules.ts';
import type { Coordinator, ImageView, ReadCalls, TextMutexView } from './service.ts';
import { sessionCalls } from './session-calls.ts';
import { SessionReaper } from './session-reaper.ts';
import { solvePlan } from './solve.ts';
import { listSymbols, oneSymbol } from './symbols.ts';
import { taskCalls } from './tasks.ts';
import { tracePipeCalls } from './trace-pipe.ts';
import { force, startTransitionWorker } from './transitions.ts';
import { Verifications } from './verifications.ts';
import { setSysctl } from './views.ts';
import { Workloads, workloadCalls } from './workloads.ts';

function imageView(kernel: Kernel): ImageView {
  const { image, kernel: version, strictness } = kernel.world;
  return {
    release: image.release,
    source: image.source,
    sha256: image.sha256,
    base: wireAddress(kernel.world, 0),
    sections: image.sections.map((section) => ({
      name: section.name,
      address: `0x${section.address.toString(16).padStart(16, '0')}`,
      size: section.size,
      executable: section.executable,
      writable: section.writable,
    })),
    counts: {
      symbols: image.symbols.count,
      functions: image.symbols.functionCount,
      ftraceSites: image.ftraceSites.length,
      jumpLabels: image.jumpLabels.count,
      staticCalls: image.staticCalls.count,
      blacklisted: kernel.world.blacklist.length,
      btfFunctions: image.btf?.count ?? 0,
    },
    loadMs: image.loadMs,
    fromCache: image.fromCache,
    profile: image.profile.name,
    kernel: version,
    strictness,
    unknowns: image.unknowns,
  };
}

/** Before the first acquisition there is nothing to take a quantile of: 0. */
function textMutexView(kernel: Kernel): TextMutexView {
  const state = kernel.mutex.state();
  const numbers = (quantiles: { readonly p50: number | null; readonly p99: number | null }) => ({
    p50: quantiles.p50 ?? 0,
    p99: quantiles.p99 ?? 0,
  });
  return { ...state, waitMs: numbers(state.waitMs), holdMs: numbers(state.holdMs) };
}

const eventCalls = (events: EventLog): Pick<Coordinator, 'eventRange' | 'eventsAfter' | 'onEvent'> => ({
  eventRange: () => events.range(),
  eventsAfter: (after, limit) => events.after(after, limit),
  onEvent: (listener) => events.onEvent(listener),
});

/** What only looks at the kernel: at this one, or at one of the past. */
function readCalls(kernel: Kernel): ReadCalls {
  return {
    image: () => imageView(kernel),
    symbols: (query) => listSymbols(kernel.world, query),
    symbol: (name) => oneSymbol(kernel.world, name),
    text: (place, length) => textView(kernel.view(), place, length),
    sites: (query) => {
      const view = kernel.view();
      return pageOf(patchedSites(view, query.state), query, (at) => siteView(view, at));
    },
    site: (place) => {
      const view = kernel.view();
      const site = siteOf(view, place);
      return site.ok ? ok(siteView(view, site.value)) : site;
    },
    blame: (place, length) => blame(kernel, place, length),
    siteHistory: (place, page) => {
      const site = siteOf(kernel.view(), place);
      if (!site.ok) return site;
      return pageOf(kernel.text.history.at(site.value, 5).records, page, (record) => pokeView(kernel.world, record));
    },
    attachments: (query) => {
      const view = kernel.view();
      const found = queryAttachments(view, query);
      return found.ok ? pageOf(found.value, query, (each) => attachmentAnswer(kernel, each, false)) : found;
    },
    attachment: (id, allSites) => {
      const attachment = kernel.state.attachments.get(id);
      return attachment === undefined
        ? err(refuse(ATTACHMENT_UNKNOWN, { detail: `${id} is not an attachment.` }))
        : ok(attachmentAnswer(kernel, attachment, allSites === true));
    },
  };
}

async function readsAt(durable: DurableKernel | undefined, sequence: number): Promise<Result<ReadCalls>> {
  if (durable === undefined)
    return err(refuse(HISTORY_UNAVAILABLE, { detail: 'This service keeps everything in memory only.' }));
  const past = await durable.past.at(sequence);
  return past.ok ? ok(readCalls(past.value)) : past;
}

/** Ties image, registry and textpoke together behind the one interface that the edge serves. */
export const createCoordinator = (options: KernelOptions): Coordinator => coordinatorOf(new Kernel(options));

/** What works beside commands; each ends by a call. */
const startWorkers = (kernel: Kernel, reaper: SessionReaper): readonly (() => void)[] => [
  startTransitionWorker(kernel),
  startOptimizer(kernel),
  () => reaper.stop(),
  () => kernel.traces.close(),
];

/** The same over a kernel that has a journal; `durable` writes the last snapshot when the coordinator closes. */
export function coordinatorOf(kernel: Kernel, durable?: DurableKernel): Coordinator {
  const { events } = kernel;
  const mapTurn = new MapTurn();
  const states = new MachineStates(kernel);
  const calls = new Calls(kernel, states, mapTurn);
  const workloads = new Workloads(kernel, states);
  const explorations = new Explorations(kernel);
  const reaper = new SessionReaper(kernel);
  const stopWorkers = startWorkers(kernel, reaper);
  const runs = new ProgramRuns(kernel.clock);
  const verifications = new Verifications(kernel.clock, () => kernelBtf(kernel.world.image)?.bytes);
  return {
    reset: (caller, all) => reset(kernel, caller, all),
    ...readCalls(kernel),
    readsAt: (sequence) => readsAt(durable, sequence),
    attach: (caller, request, attachOptions) => attach(kernel, caller, request, attachOptions),
    setEnabled: (caller, id, enabled) => setEnabled(kernel, caller, id, enabled),
    force: (caller, id) => force(kernel, caller, id),
    ...taskCalls(kernel),
    ...sessionCalls(kernel, reaper),
    ...programCalls(kernel, { runs, verifications, turn: mapTurn }),
    ...mapCalls(kernel, mapTurn),
    ...moduleCalls(kernel),
    detach: (caller, id, detachOptions) => detach(kernel, caller, id, detachOptions),
    plan: (caller, steps, version = kernel.world.kernel, planOptions = {}) => {
      const asked = kernel.asVersion(version);
      if (asked === undefined) return ok(unknownSteps(kernel, steps, version));
      return ok((planOptions.solve === 'order' ? solvePlan : plan)(asked, caller, steps));
    },
    audit: () => audit(kernel),
    kernelView: (name) => (name === KPROBE_PROFILE ? kprobeProfile(kernel) : kernelView(kernel.view(), name)),
    sysctl: (name) => readSysctl(kernel.view(), name),
    setSysctl: (caller, name, value) => setSysctl(kernel, caller, name, value),
    textMutex: () => textMutexView(kernel),
    kernels: () => kernelsView(kernel.world),
    rules: () => [...RULES.values(), ...COORDINATOR_RULES.values()].map(ruleView),
    rule: (id) => [RULES.get(id) ?? COORDINATOR_RULES.get(id)].flatMap((rule) => rule ?? []).map(ruleView)[0],
    problem: (fault) => toProblem(kernel.world, fault),
    recoveredAnswers: () => durable?.answers ?? [],
    ...eventCalls(events),
    onProgress: (listener) => {
      kernel.progressListeners.add(listener);
      return () => kernel.progressListeners.delete(listener);
    },
    onTextMutex: (listener) => {
      kernel.mutexListeners.add(listener);
      return () => kernel.mutexListeners.delete(listener);
    },
    call: (caller, request) => calls.call(caller, request),
    ...explorationCalls(explorations),
    ...workloadCalls(workloads),
    ...tracePipeCalls(kernel),
    callTotals: () => kernel.counters.totals(),
    ...faultCalls(kernel),
    waitForKprobeOptimizer: () => waitForKprobeOptimizer(kernel),
    close: async () => {
      kernel.faults?.clear();
      for (const stop of stopWorkers) stop();
      await explorations.close();
      await waitForKprobeOptimizer(kernel);
      await kernel.mutex.run({ client: 'service', what: 'drain' }, () => undefined);
      await workloads.close();
      await calls.close();
      await runs.close();
      await verifications.close();
      await durable?.close();
    },
    poisoned: () => kernel.violation,
  };
}
