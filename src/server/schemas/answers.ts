/** Answers as they go out. These schemas publish the contract; answers may carry more fields than they name. */

import { Address, Budget, HexBytes, Kind, nullable, pageOf, StrictnessWord, Timestamp, words } from './common.ts';
import { LivepatchView } from './tasks.ts';
import { Type } from './type.ts';

export const SiteAnswer = Type.Object(
  {
    address: Address,
    place: Type.String(),
    before: HexBytes,
    after: HexBytes,
    mechanism: Type.String({ description: '`int3`, `ftrace`, `ftrace-direct`, …' }),
    chain: Type.Array(Type.String(), { description: 'Attachment ids in the order in which they run' }),
    revision: Type.Integer(),
    budget: Budget,
  },
  { title: 'SiteAnswer' },
);

export const CostAnswer = Type.Object(
  { pokes: Type.Integer(), batches: Type.Integer(), syncRounds: Type.Integer(), textMutexHeldUs: Type.Number() },
  { title: 'CostAnswer' },
);

export const Target = Type.Union([Type.String(), Type.Array(Type.String()), Type.Object({ pattern: Type.String() })]);

export const AttachAnswer = Type.Object(
  {
    id: Type.String(),
    kind: Kind,
    client: Type.String(),
    verdict: words(['attached', 'chained', 'shared']),
    siteCount: Type.Integer(),
    sites: Type.Optional(Type.Array(SiteAnswer)),
    cost: CostAnswer,
    sequence: Type.Integer(),
    warnings: Type.Array(Type.String()),
  },
  { title: 'AttachAnswer' },
);

const AttachmentCounters = Type.Object(
  {
    hits: Type.Integer({ description: 'Times it ran in calls since the service started' }),
    instructions: Type.Integer({ description: 'Executed in it, in all of them' }),
    misses: Type.Record(Type.String(), Type.Integer(), {
      description: 'Times it would have run and did not, by reason',
    }),
  },
  { title: 'AttachmentCounters' },
);

export const AttachmentView = Type.Object(
  {
    id: Type.String(),
    kind: Kind,
    client: Type.String(),
    since: Timestamp,
    target: Target,
    options: Type.Record(Type.String(), Type.Unknown()),
    enabled: Type.Boolean(),
    siteCount: Type.Integer(),
    sites: Type.Optional(Type.Array(SiteAnswer)),
    sequence: Type.Integer(),
    session: nullable(Type.String({ description: 'Number of the session that holds it' })),
    pinned: Type.Boolean(),
    counters: AttachmentCounters,
    livepatch: Type.Optional(LivepatchView),
  },
  { title: 'AttachmentView' },
);

export const DetachAnswer = Type.Object(
  {
    id: Type.String(),
    verdict: words(['detached']),
    siteCount: Type.Integer(),
    sites: Type.Optional(Type.Array(SiteAnswer)),
    restored: Type.Array(Address, { description: 'Addresses whose bytes are pristine again' }),
    cost: CostAnswer,
    sequence: Type.Integer(),
    warnings: Type.Array(Type.String()),
  },
  { title: 'DetachAnswer' },
);

export const Holder = Type.Object(
  { attachment: Type.String(), kind: Type.String(), client: Type.String(), since: Timestamp },
  { title: 'Holder' },
);

const SchemaFinding = Type.Object(
  { in: Type.String(), path: Type.String(), schemaPath: Type.String(), message: Type.String() },
  { title: 'SchemaFinding' },
);

export const Problem = Type.Object(
  {
    type: Type.String({ description: '`/v1/rules/<rule>`, which documents the rule' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    errno: Type.String({ description: 'The errno that Linux would return' }),
    rule: Type.String(),
    linux: nullable(Type.String({ description: 'The function and file in Linux that decide' })),
    holders: Type.Array(Holder),
    place: nullable(Type.String()),
    remedies: Type.Array(Type.String()),
    index: nullable(Type.Integer({ description: 'The failing element of a request for several sites' })),
    expected: nullable(HexBytes),
    actual: nullable(HexBytes),
    log: nullable(
      Type.String({ description: 'What the BPF verifier wrote, as the kernel does, when it refused a program' }),
    ),
    profile: nullable(Type.String()),
    kernel: nullable(Type.String()),
    strictness: nullable(StrictnessWord),
    requestId: Type.String(),
    errors: Type.Optional(Type.Array(SchemaFinding)),
  },
  { title: 'Problem' },
);

const EstimateAnswer = Type.Object(
  {
    milliseconds: Type.Union([Type.Object({ low: Type.Number(), high: Type.Number() }), Type.Null()]),
    figures: Type.Array(Type.Object({ published: Type.String(), source: Type.String() })),
    note: Type.String(),
  },
  { title: 'EstimateAnswer', description: 'What was published about real machines; not measured by this service' },
);

const PlanCostAnswer = Type.Object(
  {
    pokes: Type.Integer(),
    batches: Type.Integer(),
    syncRounds: Type.Integer(),
    textMutexHeldUs: Type.Number(),
    graces: Type.Object({
      rcu: Type.Integer(),
      rcu_tasks: Type.Integer(),
      rcu_tasks_rude: Type.Integer(),
      rcu_tasks_trace: Type.Integer(),
      percpu_ref: Type.Integer({ description: 'Not a grace period: the last call through a BPF image has returned' }),
    }),
    estimate: Type.Union([EstimateAnswer, Type.Null()]),
    later: Type.Union([
      Type.Object(
        { pokes: Type.Integer(), batches: Type.Integer(), syncRounds: Type.Integer() },
        { description: 'What the kprobe optimizer owes after this step and writes later, by itself' },
      ),
      Type.Null(),
    ]),
  },
  { title: 'PlanCostAnswer' },
);

export const PlanAnswer = Type.Object(
  {
    steps: Type.Array(
      Type.Object(
        {
          index: Type.Integer({ description: 'In the request' }),
          verdict: words(['attached', 'chained', 'shared', 'detached', 'refused', 'unknown']),
          errno: Type.Optional(Type.String()),
          rule: Type.Optional(Type.String()),
          problem: Type.Optional(Problem),
          sites: Type.Array(SiteAnswer),
          siteCount: Type.Integer(),
          cost: PlanCostAnswer,
          warnings: Type.Array(Type.String()),
        },
        { title: 'PlanStepAnswer' },
      ),
    ),
    wouldSucceed: Type.Boolean(),
    order: Type.Optional(Type.Array(Type.Integer(), { description: 'With `solve=order`: indexes of the request' })),
    conflict: Type.Optional(
      Type.Object(
        { steps: Type.Array(Type.Integer()), isSmallest: Type.Boolean(), why: Problem },
        { title: 'ConflictAnswer', description: 'With `solve=order`: steps that no order grants together' },
      ),
    ),
    search: Type.Optional(
      Type.Object(
        { decisions: Type.Integer(), isComplete: Type.Boolean(), note: Type.String() },
        { title: 'SearchAnswer' },
      ),
    ),
    kernel: Type.String(),
    profile: Type.String(),
    strictness: StrictnessWord,
  },
  { title: 'PlanAnswer' },
);

export const ImageView = Type.Object(
  {
    release: Type.String(),
    source: Type.String(),
    sha256: Type.String(),
    base: Address,
    sections: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          address: Address,
          size: Type.Integer(),
          executable: Type.Boolean(),
          writable: Type.Boolean(),
        },
        { title: 'SectionView' },
      ),
    ),
    counts: Type.Object(
      {
        symbols: Type.Integer(),
        functions: Type.Integer(),
        ftraceSites: Type.Integer(),
        jumpLabels: Type.Integer(),
        staticCalls: Type.Integer(),
        blacklisted: Type.Integer(),
        btfFunctions: Type.Integer(),
      },
      { title: 'ImageCounts' },
    ),
    loadMs: Type.Number(),
    fromCache: Type.Boolean(),
    profile: Type.String(),
    kernel: Type.String(),
    strictness: StrictnessWord,
    unknowns: Type.Array(
      Type.Object({ category: Type.String(), count: Type.Integer(), reason: Type.String() }, { title: 'UnknownBytes' }),
    ),
  },
  { title: 'ImageView' },
);

export const AuditView = Type.Object(
  {
    bytesChecked: Type.Integer(),
    differing: Type.Integer(),
    attributed: Type.Integer(),
    orphans: Type.Array(
      Type.Object(
        { address: Address, length: Type.Integer(), expected: HexBytes, actual: HexBytes },
        { title: 'Orphan' },
      ),
    ),
    durationMs: Type.Number(),
  },
  { title: 'AuditView' },
);

export const ResetAnswer = Type.Object(
  { detached: Type.Integer(), sequence: Type.Integer() },
  { title: 'ResetAnswer' },
);

const Percentiles = Type.Object({ p50: Type.Number(), p99: Type.Number() }, { title: 'Percentiles' });

export const TextMutexView = Type.Object(
  {
    holder: nullable(Type.String()),
    heldSinceMs: nullable(Type.Number()),
    waiting: Type.Array(Type.Object({ client: Type.String(), sinceMs: Type.Number() }, { title: 'Waiter' })),
    acquisitions: Type.Integer(),
    waitMs: Percentiles,
    holdMs: Percentiles,
  },
  { title: 'TextMutexView' },
);

export const SysctlView = Type.Object(
  { name: Type.String(), value: Type.Integer({ description: '0 or 1' }) },
  { title: 'SysctlView' },
);

const FACT = {
  name: Type.String(),
  title: Type.String(),
  linux: Type.String(),
  rules: Type.Array(Type.String()),
  values: Type.Array(Type.Object({ since: Type.String(), value: Type.String(), source: Type.String() })),
};

const FactView = Type.Object(FACT);

export const KernelsView = Type.Object(
  {
    image: Type.String(),
    rules: Type.String({ description: 'The version whose rules decide for the loaded image' }),
    versions: Type.Array(
      Type.Object({
        version: Type.String(),
        evidence: Type.String(),
        decides: Type.Array(
          Type.Object({ fact: Type.String(), value: Type.String(), since: Type.String(), source: Type.String() }),
        ),
      }),
      { description: 'What ?kernel= takes, each at its latest point release' },
    ),
    facts: Type.Array(Type.Object({ ...FACT, here: Type.String({ description: 'For the loaded image' }) })),
  },
  { title: 'KernelsView' },
);

export const RuleView = Type.Object(
  {
    id: Type.String(),
    title: Type.String(),
    errno: Type.String(),
    what: Type.String(),
    why: Type.String(),
    linux: Type.String(),
    range: Type.String(),
    strictness: words(['both', 'safe', 'linux']),
    remedies: Type.Array(Type.String()),
    facts: Type.Optional(Type.Array(FactView)),
  },
  { title: 'RuleView' },
);

export const AttachmentPage = pageOf('AttachmentPage', AttachmentView);
export const RuleList = pageOf('RuleList', RuleView);

export const Live = Type.Object({ status: words(['live']) }, { title: 'Live' });
export const Ready = Type.Object(
  {
    status: words(['ready']),
    release: Type.String(),
    faultInjection: Type.Boolean({
      description: 'The service was started with --inject-faults: commands may fail, and the process end, for a test',
    }),
  },
  { title: 'Ready' },
);
