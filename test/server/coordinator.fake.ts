/** A coordinator for tests of the edge: a handful of sites, real chaining by order of arrival, and no kernel. */
import { type Errno, err, type Fault, type Holder, ok } from '../../src/base/index.ts';
import type {
  AttachAnswer,
  AttachmentView,
  AttachRequest,
  Caller,
  Coordinator,
  Page,
  PageRequest,
  PlanAnswer,
  PlanStep,
  Problem,
  ServiceEvent,
  SiteAnswer,
  SiteView,
} from '../../src/coordinator/index.ts';
import { fakeCalls, fakeWorkloads } from './calls.fake.ts';
import { COST, KERNELS, PLAN_COST, TEXT_MUTEX } from './coordinator.answers.ts';
import { fakeExplorations } from './explorations.fake.ts';
import { fakeFaults } from './faults.fake.ts';
import { fakeMaps, fakeTracePipe } from './maps.fake.ts';
import { fakeModules } from './modules.fake.ts';
import { fakePast } from './past.fake.ts';
import { fakePrograms } from './programs.fake.ts';
import { fakeProgress } from './progress.fake.ts';
import { RULES } from './rules.fake.ts';
import { fakeSessions } from './sessions.fake.ts';
import { fakeTasks } from './tasks.fake.ts';

export interface FakeCoordinator extends Coordinator, ReturnType<typeof fakeProgress> {
  readonly callers: Caller[];
  emit(type: ServiceEvent['type'], data?: Readonly<Record<string, unknown>>): void;
  /** Forgets events up to and with `sequence`. */
  compact(sequence: number): void;
  poison(message: string): void;
  /** The next attach waits until the returned function is called. */
  holdAttach(): () => void;
  /** The next attach throws or returns this. */
  failNext(failure: Fault | Error): void;
  isClosed(): boolean;
}

const ADDRESS = '0xffffffff81a3c4d0';
const TIME = '2026-01-01T00:00:00.000Z';
function pageOf<T>(all: readonly T[], { limit, cursor }: PageRequest): Page<T> {
  const from = cursor === undefined ? 0 : Number(cursor);
  const nextCursor = from + limit < all.length ? String(from + limit) : null;
  return { items: all.slice(from, from + limit), nextCursor };
}

const fault = (errno: Errno, rule: string, detail: string, holders: readonly Holder[] = []): Fault => ({
  errno,
  rule,
  detail,
  holders,
});

function eventLog() {
  const events: ServiceEvent[] = [];
  const listeners = new Set<(event: ServiceEvent) => void>();
  let first = 1;
  let last = 0;
  return {
    emit(type: ServiceEvent['type'], data: Readonly<Record<string, unknown>> = {}): number {
      const event = { sequence: ++last, time: TIME, type, data };
      events.push(event);
      for (const listener of listeners) listener(event);
      return last;
    },
    compact(sequence: number): void {
      first = sequence + 1;
      events.splice(
        0,
        events.findIndex((e) => e.sequence > sequence),
      );
    },
    range: () => ({ first, last }),
    after: (sequence: number, limit: number) => events.filter((e) => e.sequence > sequence).slice(0, limit),
    on(listener: (event: ServiceEvent) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function createFakeCoordinator(): FakeCoordinator {
  const log = eventLog();
  const attachments = new Map<string, AttachmentView>();
  const tenants = new Map<string, string>();
  const callers: Caller[] = [];
  let counter = 0;
  let revision = 0;
  let poison: string | undefined;
  let gate: Promise<void> | undefined;
  let failure: Fault | Error | undefined;
  let closed = false;

  const siteAnswer = (place: string): SiteAnswer => ({
    address: ADDRESS,
    place,
    before: '0f1f440000',
    after: 'e8112233ff',
    mechanism: 'ftrace',
    chain: [...attachments.keys()],
    revision,
    budget: { ipmodify: 1 },
  });
  const site = (place: string): SiteView => ({
    address: ADDRESS,
    symbol: place,
    kind: 'ftrace',
    original: '0f1f440000',
    current: attachments.size > 0 ? 'e8112233ff' : '0f1f440000',
    revision,
    owners: [...attachments.values()].map((a, order) => ({ attachment: a.id, kind: a.kind, client: a.client, order })),
    quarantined: false,
    budget: { ipmodify: 1 },
  });
  const unknown = (id: string) => err(fault('ENOENT', 'attachment.unknown', `There is no attachment ${id}.`));
  const denied = (caller: Caller, id: string) =>
    tenants.get(id) === caller.tenant || caller.isAdmin
      ? undefined
      : err(fault('EPERM', 'attachment.tenant', `${id} belongs to another tenant.`));

  const refuse = (caller: Caller, request: AttachRequest): Fault | undefined => {
    const { ipmodify } = request.options ?? {};
    const holder = [...attachments.values()].find((a) => a.options['ipmodify'] === true);
    if (request.target === 'nowhere') return fault('ENOENT', 'place.unknown', 'There is no symbol nowhere.');
    if (ipmodify !== true || holder === undefined) return undefined;
    log.emit('rejected', {
      kind: request.kind,
      client: caller.client,
      rule: 'ftrace.ipmodify.exclusive',
      errno: 'EBUSY',
    });
    return fault('EBUSY', 'ftrace.ipmodify.exclusive', 'Someone holds IPMODIFY.', [
      { attachment: holder.id, kind: holder.kind, client: holder.client, since: holder.since },
    ]);
  };

  const attach: Coordinator['attach'] = async (caller, request, options) => {
    callers.push(caller);
    await gate;
    const planned = failure;
    failure = undefined;
    if (planned instanceof Error) throw planned;
    if (planned !== undefined) return err(planned);
    if (options.ifMatch !== undefined && options.ifMatch !== revision) {
      return err(fault('EAGAIN', 'precondition.site-revision', `The site is at revision ${revision}.`));
    }
    const refused = refuse(caller, request);
    if (refused !== undefined) return err(refused);
    const verdict: AttachAnswer['verdict'] = attachments.size === 0 ? 'attached' : 'chained';
    const id = `att_${++counter}`;
    revision++;
    const { kind, target } = request;
    const sequence = log.emit('attached', { attachment: id, kind, client: caller.client, verdict });
    tenants.set(id, caller.tenant);
    const counters = { hits: 2, instructions: 34, misses: { recursion: 1 } };
    const view = { id, kind, client: caller.client, since: TIME, target, enabled: true, siteCount: 1, sequence };
    attachments.set(id, { ...view, options: request.options ?? {}, session: null, pinned: false, counters });
    const sites = [siteAnswer(typeof target === 'string' ? target : 'several')];
    return ok({ id, kind, client: caller.client, verdict, siteCount: 1, sites, cost: COST, sequence, warnings: [] });
  };

  return {
    callers,
    emit: log.emit,
    compact: log.compact,
    poison: (message) => {
      poison = message;
    },
    holdAttach() {
      let release = () => {};
      gate = new Promise((resolve) => {
        release = resolve;
      });
      return () => {
        gate = undefined;
        release();
      };
    },
    failNext: (next) => {
      failure = next;
    },
    isClosed: () => closed,
    attach,
    ...fakeCalls(callers),
    ...fakeWorkloads(callers),
    ...readOnly(() => revision),
    sites: (query) => ok(pageOf(attachments.size > 0 ? [site('tcp_set_state')] : [], query)),
    site: (place) => (place === 'nowhere' ? err(fault('ENOENT', 'place.unknown', 'nowhere')) : ok(site(place))),
    async setSysctl(caller, name, value) {
      callers.push(caller);
      return value === 0 ? err(fault('EBUSY', 'sysctl.ftrace-enabled.permanent', name)) : ok({ name, value });
    },
    async reset(caller, all) {
      callers.push(caller);
      const gone = [...attachments.keys()].filter((id) => all || tenants.get(id) === caller.tenant);
      for (const id of gone) attachments.delete(id);
      return ok({ detached: gone.length, sequence: log.emit('image', { reset: true }) });
    },
    attachments: (query) =>
      ok(
        pageOf(
          [...attachments.values()].filter((a) => query.kind === undefined || a.kind === query.kind),
          query,
        ),
      ),
    attachment(id) {
      const view = attachments.get(id);
      return view === undefined ? unknown(id) : ok(view);
    },
    async setEnabled(caller, id, enabled) {
      const view = attachments.get(id);
      if (view === undefined) return unknown(id);
      const refused = denied(caller, id);
      if (refused !== undefined) return refused;
      attachments.set(id, { ...view, enabled });
      return ok({ ...view, enabled });
    },
    async force(_caller, id) {
      const view = attachments.get(id);
      return view === undefined ? unknown(id) : ok(view);
    },
    ...fakeSessions(attachments),
    ...fakePast,
    ...fakeTasks(callers),
    ...fakePrograms(callers),
    ...fakeExplorations(callers),
    ...fakeMaps(callers),
    ...fakeTracePipe(callers),
    ...fakeModules(callers),
    ...fakeFaults(callers),
    async detach(caller, id) {
      if (!attachments.has(id)) return unknown(id);
      const refused = denied(caller, id);
      if (refused !== undefined) return refused;
      attachments.delete(id);
      const sequence = log.emit('detached', { attachment: id, client: caller.client });
      return ok({ id, verdict: 'detached', siteCount: 1, restored: [ADDRESS], cost: COST, sequence, warnings: [] });
    },
    poisoned: () => poison,
    recoveredAnswers: () => [],
    eventRange: log.range,
    eventsAfter: log.after,
    onEvent: log.on,
    ...fakeProgress(),
    onTextMutex: () => () => undefined,
    waitForKprobeOptimizer: async () => undefined,
    async close() {
      closed = true;
    },
  };
}

type ReadOnlyNames =
  | 'image'
  | 'symbols'
  | 'symbol'
  | 'text'
  | 'siteHistory'
  | 'plan'
  | 'audit'
  | 'kernels'
  | 'kernelView';
type ReadOnlyPart = Pick<Coordinator, ReadOnlyNames | 'sysctl' | 'textMutex' | 'rules' | 'rule' | 'problem'>;

/** What an answer has when an order is asked for: the given one, or none when a step meets `held`. */
function solved(steps: readonly PlanStep[]): Pick<PlanAnswer, 'order' | 'conflict' | 'search'> {
  const search = { decisions: steps.length, isComplete: true, note: 'Looked for.' };
  const held = steps.findIndex((step) => 'attach' in step && step.attach.target === 'held');
  if (held < 0) return { order: [...steps.keys()], search };
  const why = problemOf(fault('EBUSY', 'ftrace.ipmodify.exclusive', 'held'));
  return { conflict: { steps: [held], isSmallest: true, why }, search };
}

function problemOf(f: Fault): Problem {
  const rule = RULES.find((r) => r.id === f.rule);
  return {
    type: `/v1/rules/${f.rule}`,
    title: rule?.title ?? f.rule,
    detail: f.detail,
    errno: f.errno,
    rule: f.rule,
    linux: rule?.linux ?? null,
    holders: f.holders ?? [],
    place: f.place ?? null,
    remedies: f.remedies ?? rule?.remedies ?? [],
    index: f.index ?? null,
    expected: f.expected ?? null,
    actual: f.actual ?? null,
    log: f.log ?? null,
    profile: 'max',
    kernel: '6.12',
    strictness: 'safe',
  };
}

function readOnly(revision: () => number): ReadOnlyPart {
  const attachable = { kprobe: true, ftrace: true, fentry: true, fmodRet: false, livepatch: true };
  const symbol = (name: string) => ({
    name,
    address: ADDRESS,
    size: 96,
    type: 'T',
    module: null,
    prototype: 'void tcp_set_state(struct sock *sk, int state)',
    attachable,
    why: { fmodRet: 'It is not in the error injection list.' },
  });
  return {
    image: () => ({
      release: '6.12.0-fake',
      source: 'builtin',
      sha256: '00'.repeat(32),
      base: '0xffffffff81000000',
      sections: [{ name: '.text', address: '0xffffffff81000000', size: 0x1000, executable: true, writable: false }],
      counts: {
        symbols: 3,
        functions: 2,
        ftraceSites: 1,
        jumpLabels: 0,
        staticCalls: 0,
        blacklisted: 0,
        btfFunctions: 1,
      },
      loadMs: 12.5,
      fromCache: false,
      profile: 'max',
      kernel: '6.12',
      strictness: 'safe',
      unknowns: [],
    }),
    symbols: (query) => ok(pageOf(['tcp_close', 'tcp_set_state', 'tcp_v4_rcv'].map(symbol), query)),
    symbol: (name) => (name === 'nowhere' ? err(fault('ENOENT', 'symbol.unknown', 'nowhere')) : ok(symbol(name))),
    text: (place, length) =>
      ok({
        address: ADDRESS,
        symbol: place,
        bytes: '90'.repeat(length),
        original: '90'.repeat(length),
        instructions: [{ address: ADDRESS, bytes: '90', text: 'nop', target: null }],
        owners: [],
      }),
    siteHistory: (_place, page) =>
      ok(
        pageOf(
          [
            {
              sequence: revision(),
              time: TIME,
              address: ADDRESS,
              attachment: null,
              client: 'c',
              reason: 'attach',
              before: '90',
              after: 'cc',
            },
          ],
          page,
        ),
      ),
    plan: (_caller, steps, kernel, options) =>
      ok({
        ...(options?.solve === 'order' ? solved(steps) : {}),
        steps: steps.map((step, index) => {
          const base = { index, sites: [], siteCount: 0, cost: PLAN_COST, warnings: [] };
          if ('detach' in step) return { ...base, verdict: 'detached' as const };
          if (step.attach.target !== 'held') return { ...base, verdict: 'attached' as const };
          const problem = problemOf(fault('EBUSY', 'ftrace.ipmodify.exclusive', 'held'));
          return { ...base, verdict: 'refused' as const, errno: 'EBUSY' as const, rule: problem.rule, problem };
        }),
        wouldSucceed: true,
        kernel: kernel ?? '6.12',
        profile: 'max',
        strictness: 'safe',
      }),
    kernelView: (name) =>
      name === 'tracing/touched_functions'
        ? err(fault('ENOENT', 'view.unknown', 'This kernel has no touched_functions.'))
        : ok(`${name}\n`),
    sysctl: (name) =>
      name.startsWith('kernel.') ? ok({ name, value: 1 }) : err(fault('ENOENT', 'sysctl.unknown', name)),
    audit: () => ({ bytesChecked: 4096, differing: 0, attributed: 0, orphans: [], durationMs: 1 }),
    textMutex: () => TEXT_MUTEX,
    kernels: () => KERNELS,
    rules: () => RULES,
    rule: (id) => RULES.find((r) => r.id === id),
    problem: problemOf,
  };
}
