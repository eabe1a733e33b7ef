import { Kind, optionalPageQuery, Pattern, Place, QueryPlace, strict, words } from './common.ts';
import { Type } from './type.ts';

export const PLACES_MAX = 100_000;
export const STEPS_MAX = 10_000;

export const AttachBody = Type.Object(
  {
    kind: Kind,
    target: Type.Union([Place, Type.Array(Place, { maxItems: PLACES_MAX }), Type.Object({ pattern: Pattern }, strict)]),
    program: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    options: Type.Optional(
      Type.Unsafe<Readonly<Record<string, unknown>>>({
        type: 'object',
        description: 'By kind; unknown options are refused',
      }),
    ),
    pinned: Type.Optional(Type.Boolean({ description: 'It outlives the session of the request' })),
  },
  {
    ...strict,
    title: 'AttachRequest',
  },
);

/** Exactly one of them: the route says so. */
export const EnableBody = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean()),
    force: Type.Optional(
      Type.Unsafe<true>({ type: 'boolean', enum: [true], description: 'Force the transition of a livepatch' }),
    ),
    pinned: Type.Optional(
      Type.Boolean({ description: 'true: it outlives its session; false: the session of the request takes it over' }),
    ),
  },
  { ...strict, title: 'EnableRequest', description: 'One of `enabled`, `force` and `pinned`' },
);

const Client = Type.String({ pattern: '^[\\x20-\\x7e]{1,64}$', description: '1 to 64 printable ASCII characters' });

/** Exactly one of `attach` and `detach`: the route says so in words that a person can use. */
export const PlanBody = Type.Object(
  {
    steps: Type.Array(
      Type.Object(
        {
          client: Type.Optional(Client),
          attach: Type.Optional(AttachBody),
          detach: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'An attachment id' })),
        },
        { ...strict, title: 'PlanStep', description: 'Either `attach` or `detach`' },
      ),
      { minItems: 1, maxItems: STEPS_MAX },
    ),
  },
  { ...strict, title: 'PlanRequest' },
);

export const SysctlBody = Type.Object(
  { value: Type.Integer({ minimum: 0, maximum: 1 }) },
  { ...strict, title: 'SysctlRequest' },
);

export const ModuleStateBody = Type.Object(
  { state: words(['live', 'going']) },
  { ...strict, title: 'ModuleStateRequest' },
);
export const LoadModuleQuery = Type.Object(
  { until: Type.Optional(words(['coming', 'live'], '`coming` stops before its init function runs')) },
  strict,
);

/** A body that may be left out. */
export const EmptyBody = Type.Union([Type.Null(), Type.Object({}, strict)]);

export const IdParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }, strict);
export const NameParams = Type.Object({ name: Type.String({ minLength: 1, maxLength: 512 }) }, strict);
export const PlaceParams = Type.Object({ place: Place }, strict);

export const SymbolsQuery = Type.Object(
  {
    match: Type.Optional(Pattern),
    attachable: Type.Optional(words(['kprobe', 'ftrace', 'fentry', 'fmodRet', 'livepatch'])),
    ...optionalPageQuery,
  },
  strict,
);
const Sequence = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'As it was right after the change that this event belongs to; needs a journal',
});
const At = { at: Type.Optional(Sequence) } as const;
const Length = (most: number) => Type.Optional(Type.Integer({ minimum: 1, maximum: most, default: 64 }));

export const TextQuery = Type.Object({ at: QueryPlace, length: Length(65_536), asOf: Type.Optional(Sequence) }, strict);
export const SitesQuery = Type.Object(
  { state: Type.Optional(words(['patched', 'quarantined'])), ...At, ...optionalPageQuery },
  strict,
);
export const PageQuery = Type.Object({ ...optionalPageQuery }, strict);
export const AttachmentsQuery = Type.Object(
  {
    client: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    kind: Type.Optional(Kind),
    place: Type.Optional(QueryPlace),
    ...At,
    ...optionalPageQuery,
  },
  strict,
);
export const AtQuery = Type.Object(At, strict);
export const BlameQuery = Type.Object({ length: Length(4_096) }, strict);
export const AttachmentQuery = Type.Object(
  { ...At, sites: Type.Optional(words(['full'], 'All sites, even when there are more than 1,000')) },
  strict,
);
export const SitesChoiceQuery = Type.Object(
  { sites: Type.Optional(words(['full'], 'All sites, even when there are more than 1,000')) },
  strict,
);
export const ResetQuery = Type.Object({ all: Type.Optional(Type.Boolean()) }, strict);
export const PlanQuery = Type.Object(
  {
    kernel: Type.Optional(Type.String({ pattern: '^\\d{1,3}\\.\\d{1,4}(\\.\\d{1,5})?$', description: '`6.6`' })),
    solve: Type.Optional(words(['order'], 'Find an order in which all steps are granted')),
  },
  strict,
);
export const EventsQuery = Type.Object(
  {
    after: Type.Optional(Type.Integer({ minimum: 0, description: 'Resume after this sequence' })),
    types: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description: 'Comma-separated event types; progress, of commands that take long, only when named',
      }),
    ),
  },
  strict,
);
