/** The typed client of ktextd. Refusals are returned as problem documents; only an unreachable service is thrown. */
import { type Answer, type Call, part, type QueryValue, withQuery } from './call.ts';
import { readEvents, type ServerEvent } from './events.ts';
import { faultCalls, mapCalls, programCalls } from './groups.ts';
import { open, parseEndpoint, readText, type TransportRequest, UnreachableError } from './transport.ts';
import type {
  AttachAnswer,
  AttachmentPage,
  AttachmentView,
  AttachRequest,
  AuditView,
  BlameView,
  CallAnswer,
  CallRequest,
  DetachAnswer,
  ExplorationPage,
  ExplorationRequest,
  ExplorationSummary,
  ExplorationView,
  FaultPage,
  FaultRequest,
  FaultView,
  ImageView,
  KernelsView,
  MapEntryPage,
  MapEntryRequest,
  MapEntryView,
  MapPage,
  MapRecords,
  MapRequest,
  MapView,
  ModuleAnswer,
  ModuleDetails,
  ModulePage,
  PlanAnswer,
  PlanRequest,
  PokePage,
  Problem,
  ProgramList,
  ProgramListingView,
  ProgramPage,
  ProgramRequest,
  ProgramRunAnswer,
  ProgramRunRequest,
  ProgramView,
  ResetAnswer,
  RuleList,
  RuleView,
  SessionAnswer,
  SessionEndAnswer,
  SessionPage,
  SessionRequest,
  SessionView,
  SitePage,
  SiteView,
  SymbolPage,
  SymbolView,
  SysctlView,
  TaskMoveRequest,
  TaskPage,
  TaskRequest,
  TaskView,
  TextMutexView,
  TextView,
  TracePipeLines,
  UnloadAnswer,
  WorkloadPage,
  WorkloadRequest,
  WorkloadView,
} from './types.ts';

export type { Answer } from './call.ts';

export interface ClientOptions {
  /** `http://127.0.0.1:7700` or `unix:PATH`. */
  readonly server: string;
  readonly token?: string;
  /** The label under which attachments are made: 1 to 64 printable characters. */
  readonly client?: string;
  /** Secret of a session: what is attached is its, and ends with it. */
  readonly session?: string;
}

export interface PageQuery {
  readonly limit?: number;
  readonly cursor?: string;
}

export interface AttachOptions {
  readonly idempotencyKey?: string;
  /** Refuse unless the site is at this revision. */
  readonly ifMatch?: number;
  /** All sites in the answer, even when there are more than 1,000. */
  readonly allSites?: boolean;
}

export interface RecordsQuery {
  readonly max?: number;
  readonly waitMs?: number;
}

export interface EventQuery {
  readonly after?: number;
  readonly types?: readonly string[];
  readonly signal?: AbortSignal;
}

export type KernelListing =
  | 'tracefs/enabled_functions'
  | 'tracefs/touched_functions'
  | 'tracefs/kprobe_profile'
  | 'tracefs/available_filter_functions'
  | 'debugfs/kprobes/list'
  | 'debugfs/kprobes/blacklist';

export interface Client {
  image(): Promise<Answer<ImageView>>;
  reset(all?: boolean): Promise<Answer<ResetAnswer>>;
  symbols(query?: { readonly match?: string; readonly attachable?: string } & PageQuery): Promise<Answer<SymbolPage>>;
  symbol(name: string): Promise<Answer<SymbolView>>;
  text(place: string, length?: number): Promise<Answer<TextView>>;
  sites(query?: { readonly state?: string } & PageQuery): Promise<Answer<SitePage>>;
  site(place: string): Promise<Answer<SiteView>>;
  /** Who changed these bytes, when, and what they hide. */
  blame(place: string, length?: number): Promise<Answer<BlameView>>;
  siteHistory(place: string, query?: PageQuery): Promise<Answer<PokePage>>;
  attach(request: AttachRequest, options?: AttachOptions): Promise<Answer<AttachAnswer>>;
  attachments(
    query?: { readonly client?: string; readonly kind?: string; readonly place?: string } & PageQuery,
  ): Promise<Answer<AttachmentPage>>;
  attachment(id: string): Promise<Answer<AttachmentView>>;
  setEnabled(id: string, enabled: boolean): Promise<Answer<AttachmentView>>;
  /** Forces the tasks that a livepatch's transition waits for to go over. */
  force(id: string): Promise<Answer<AttachmentView>>;
  detach(id: string): Promise<Answer<DetachAnswer>>;
  /** Pins an attachment, or (false) gives it to this client's session. */
  pin(id: string, pinned: boolean): Promise<Answer<AttachmentView>>;
  /** The answer's `id` is the secret that {@link ClientOptions.session} takes. */
  openSession(request: SessionRequest): Promise<Answer<SessionAnswer>>;
  heartbeat(session: string): Promise<Answer<SessionView>>;
  endSession(session: string): Promise<Answer<SessionEndAnswer>>;
  sessions(query?: PageQuery): Promise<Answer<SessionPage>>;
  newTask(task: TaskRequest): Promise<Answer<TaskView>>;
  moveTask(id: string, change: TaskMoveRequest): Promise<Answer<TaskView>>;
  endTask(id: string): Promise<Answer<TaskView>>;
  tasks(query?: PageQuery): Promise<Answer<TaskPage>>;
  task(id: string): Promise<Answer<TaskView>>;
  /** Calls a function of the kernel on a simulated CPU. */
  call(call: CallRequest): Promise<Answer<CallAnswer>>;
  /** Begins to explore a scenario; it is over when its `state` is `done`. */
  /** Arms a fault; refused by a service that was not started with --inject-faults. */
  injectFault(fault: FaultRequest): Promise<Answer<FaultView>>;
  faults(query?: PageQuery): Promise<Answer<FaultPage>>;
  removeFault(id: string): Promise<Answer<FaultView>>;
  startWorkload(workload: WorkloadRequest): Promise<Answer<WorkloadView>>;
  stopWorkload(id: string): Promise<Answer<WorkloadView>>;
  workloads(query?: PageQuery): Promise<Answer<WorkloadPage>>;
  workload(id: string): Promise<Answer<WorkloadView>>;
  explore(exploration: ExplorationRequest): Promise<Answer<ExplorationView>>;
  exploration(id: string): Promise<Answer<ExplorationView>>;
  explorations(query?: PageQuery): Promise<Answer<ExplorationPage>>;
  deleteExploration(id: string): Promise<Answer<ExplorationSummary>>;
  /** `solve: 'order'` looks for an order of the steps in which all are granted. */
  plan(plan: PlanRequest, kernel?: string, solve?: 'order'): Promise<Answer<PlanAnswer>>;
  loadProgram(program: ProgramRequest): Promise<Answer<ProgramView>>;
  /** Makes an object's maps and loads one of its programs; `section` says which where it has several. */
  loadObject(file: Uint8Array, options?: ObjectOptions): Promise<Answer<ProgramView>>;
  /** The same with all of its programs. */
  loadObjectPrograms(file: Uint8Array, options?: Pick<ObjectOptions, 'name'>): Promise<Answer<ProgramList>>;
  unloadProgram(id: string): Promise<Answer<ProgramView>>;
  programs(query?: PageQuery): Promise<Answer<ProgramPage>>;
  program(id: string): Promise<Answer<ProgramView>>;
  programListing(id: string, view: 'xlated' | 'jited'): Promise<Answer<ProgramListingView>>;
  runProgram(id: string, run: ProgramRunRequest): Promise<Answer<ProgramRunAnswer>>;
  createMap(map: MapRequest): Promise<Answer<MapView>>;
  deleteMap(id: string): Promise<Answer<MapView>>;
  maps(query?: PageQuery): Promise<Answer<MapPage>>;
  map(id: string): Promise<Answer<MapView>>;
  mapEntries(id: string, query?: PageQuery): Promise<Answer<MapEntryPage>>;
  /** Keys and values are hex. */
  mapEntry(id: string, key: string): Promise<Answer<MapEntryView>>;
  updateMapEntry(id: string, entry: MapEntryRequest): Promise<Answer<MapEntryView>>;
  deleteMapEntry(id: string, key: string): Promise<Answer<MapView>>;
  /** Records of a ring buffer or of perf buffers; `waitMs` waits for a first one. */
  mapRecords(id: string, query?: RecordsQuery): Promise<Answer<MapRecords>>;
  /** The same, and takes them out. */
  consumeMapRecords(id: string, query?: RecordsQuery): Promise<Answer<MapRecords>>;
  /** What your programs traced; the lines stay there. */
  tracePipe(query?: RecordsQuery): Promise<Answer<TracePipeLines>>;
  /** The same, and they are gone. */
  consumeTracePipe(query?: RecordsQuery): Promise<Answer<TracePipeLines>>;
  audit(): Promise<Answer<AuditView>>;
  textMutex(): Promise<Answer<TextMutexView>>;
  /** A file of the kernel, as the kernel prints it. */
  listing(file: KernelListing): Promise<Answer<string>>;
  sysctl(name: string): Promise<Answer<SysctlView>>;
  setSysctl(name: string, value: 0 | 1): Promise<Answer<SysctlView>>;
  kernels(): Promise<Answer<KernelsView>>;
  modules(query?: PageQuery): Promise<Answer<ModulePage>>;
  module(name: string): Promise<Answer<ModuleDetails>>;
  /** The bytes of a .ko, .ko.xz or .ko.gz. */
  loadModule(file: Uint8Array, until?: 'coming' | 'live'): Promise<Answer<ModuleAnswer>>;
  setModuleState(name: string, state: 'live' | 'going'): Promise<Answer<ModuleAnswer>>;
  unloadModule(name: string): Promise<Answer<UnloadAnswer>>;
  rules(): Promise<Answer<RuleList>>;
  rule(id: string): Promise<Answer<RuleView>>;
  /** Events as they come, until the service ends the stream. */
  events(query?: EventQuery): Promise<Answer<AsyncGenerator<ServerEvent>>>;
}

export interface ObjectOptions {
  /** A section's name, or a function's. */
  readonly section?: string;
  /** The file's name without its ending: maps of its data are called after it. */
  readonly name?: string;
}

function readProblem(status: number, text: string): Problem {
  try {
    const document = JSON.parse(text) as Problem;
    if (typeof document.rule === 'string') return document;
  } catch {
    // Falls through: a proxy's page, for example.
  }
  throw new UnreachableError(`the answer is not ktextd's: HTTP ${status} ${text.slice(0, 100)}`);
}

function createCaller(options: ClientOptions) {
  const endpoint = parseEndpoint(options.server);
  const common: Record<string, string> = {};
  if (options.token !== undefined) common['authorization'] = `Bearer ${options.token}`;
  if (options.client !== undefined) common['x-ktextd-client'] = options.client;
  if (options.session !== undefined) common['x-ktextd-session'] = options.session;
  const request = ({ method, path, body, file, headers, signal }: Call): TransportRequest => {
    const text = file ?? (body === undefined ? undefined : JSON.stringify(body));
    const kind = file === undefined ? 'application/json' : 'application/octet-stream';
    const type = text === undefined ? {} : { 'content-type': kind, 'content-length': String(Buffer.byteLength(text)) };
    return {
      method,
      path,
      headers: { accept: 'application/json', ...common, ...type, ...headers },
      ...(text === undefined ? {} : { body: text }),
      ...(signal === undefined ? {} : { signal }),
    };
  };
  return {
    async json<T>(call: Call): Promise<Answer<T>> {
      const response = await open(endpoint, request(call));
      const text = await readText(response);
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return { ok: true, status, value: JSON.parse(text) as T };
      return { ok: false, problem: readProblem(status, text) };
    },
    async plain(call: Call): Promise<Answer<string>> {
      const response = await open(endpoint, request(call));
      const text = await readText(response);
      const status = response.statusCode ?? 0;
      return status === 200 ? { ok: true, status, value: text } : { ok: false, problem: readProblem(status, text) };
    },
    async stream(call: Call): Promise<Answer<AsyncGenerator<ServerEvent>>> {
      const response = await open(endpoint, request({ ...call, headers: { accept: 'text/event-stream' } }));
      const status = response.statusCode ?? 0;
      if (status === 200) return { ok: true, status, value: readEvents(response) };
      return { ok: false, problem: readProblem(status, await readText(response)) };
    },
  };
}

function attachCall(body: AttachRequest, { idempotencyKey, ifMatch, allSites }: AttachOptions): Call {
  const headers: Record<string, string> = {};
  if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
  if (ifMatch !== undefined) headers['if-match'] = `"${ifMatch}"`;
  const path = withQuery('/v1/attachments', { sites: allSites === true ? 'full' : undefined });
  return { method: 'POST', path, body, headers };
}

const tracePipePath = (query: RecordsQuery): string => withQuery('/v1/tracefs/trace_pipe', { ...query });

/** Makes a client. Throws {@link AddressError} when `server` is no address; nothing is connected yet. */
export function createClient(options: ClientOptions): Client {
  const { json, plain, stream } = createCaller(options);
  const get = <T>(path: string, query: object = {}): Promise<Answer<T>> =>
    json({ method: 'GET', path: withQuery(path, query as Readonly<Record<string, QueryValue>>) });
  return {
    image: () => get('/v1/image'),
    reset: (all) => json({ method: 'POST', path: withQuery('/v1/image/reset', { all }), body: {} }),
    symbols: (query) => get('/v1/symbols', query),
    symbol: (name) => get(`/v1/symbols/${part(name)}`),
    text: (at, length) => get('/v1/text', { at, length }),
    sites: (query) => get('/v1/sites', query),
    site: (place) => get(`/v1/sites/${part(place)}`),
    blame: (place, length) => get(`/v1/blame/${part(place)}`, { length }),
    siteHistory: (place, query) => get(`/v1/sites/${part(place)}/history`, query),
    attach: (request, attachOptions = {}) => json(attachCall(request, attachOptions)),
    attachments: (query) => get('/v1/attachments', query),
    attachment: (id) => get(`/v1/attachments/${part(id)}`),
    setEnabled: (id, enabled) => json({ method: 'PATCH', path: `/v1/attachments/${part(id)}`, body: { enabled } }),
    force: (id) => json({ method: 'PATCH', path: `/v1/attachments/${part(id)}`, body: { force: true } }),
    pin: (id, pinned) => json({ method: 'PATCH', path: `/v1/attachments/${part(id)}`, body: { pinned } }),
    openSession: (request) => json({ method: 'POST', path: '/v1/sessions', body: request }),
    heartbeat: (session) => json({ method: 'PUT', path: `/v1/sessions/${part(session)}/heartbeat`, body: {} }),
    endSession: (session) => json({ method: 'DELETE', path: `/v1/sessions/${part(session)}` }),
    sessions: (query) => get('/v1/sessions', query),
    newTask: (task) => json({ method: 'POST', path: '/v1/tasks', body: task }),
    moveTask: (id, change) => json({ method: 'PATCH', path: `/v1/tasks/${part(id)}`, body: change }),
    endTask: (id) => json({ method: 'DELETE', path: `/v1/tasks/${part(id)}` }),
    tasks: (query) => get('/v1/tasks', query),
    task: (id) => get(`/v1/tasks/${part(id)}`),
    ...programCalls(json),
    ...mapCalls(json),
    tracePipe: (query = {}) => json({ method: 'GET', path: tracePipePath(query) }),
    consumeTracePipe: (query = {}) => json({ method: 'DELETE', path: tracePipePath(query) }),
    ...faultCalls(json),
    detach: (id) => json({ method: 'DELETE', path: `/v1/attachments/${part(id)}` }),
    explore: (exploration) => json({ method: 'POST', path: '/v1/explorations', body: exploration }),
    exploration: (id) => get(`/v1/explorations/${part(id)}`),
    explorations: (query) => get('/v1/explorations', query),
    deleteExploration: (id) => json({ method: 'DELETE', path: `/v1/explorations/${part(id)}` }),
    startWorkload: (workload) => json({ method: 'POST', path: '/v1/workloads', body: workload }),
    stopWorkload: (id) => json({ method: 'DELETE', path: `/v1/workloads/${part(id)}` }),
    workloads: (query) => get('/v1/workloads', query),
    workload: (id) => get(`/v1/workloads/${part(id)}`),
    call: (call) => json({ method: 'POST', path: '/v1/calls', body: call }),
    plan: (plan, kernel, solve) =>
      json({ method: 'POST', path: withQuery('/v1/plans', { kernel, solve }), body: plan }),
    audit: () => get('/v1/audit'),
    textMutex: () => get('/v1/text-mutex'),
    listing: (file) => plain({ method: 'GET', path: `/v1/${file}`, headers: { accept: 'text/plain' } }),
    sysctl: (name) => get(`/v1/sysctl/${part(name)}`),
    setSysctl: (name, value) => json({ method: 'PUT', path: `/v1/sysctl/${part(name)}`, body: { value } }),
    kernels: () => get('/v1/kernels'),
    modules: (query) => get('/v1/modules', query),
    module: (name) => get(`/v1/modules/${part(name)}`),
    loadModule: (file, until) => json({ method: 'POST', path: withQuery('/v1/modules', { until }), file }),
    setModuleState: (name, state) => json({ method: 'PATCH', path: `/v1/modules/${part(name)}`, body: { state } }),
    unloadModule: (name) => json({ method: 'DELETE', path: `/v1/modules/${part(name)}` }),
    rules: () => get('/v1/rules'),
    rule: (id) => get(`/v1/rules/${part(id)}`),
    events: ({ after, types, signal } = {}) =>
      stream({
        method: 'GET',
        path: withQuery('/v1/events', { after, types: types?.join(',') }),
        ...(signal === undefined ? {} : { signal }),
      }),
  };
}
