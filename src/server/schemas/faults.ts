/** Faults that are injected by name. */
import { FAULT_NAMES } from '../../coordinator/index.ts';
import { optionalPageQuery, Place, pageOf, strict, Timestamp, words } from './common.ts';
import { Type } from './type.ts';

const TIMES_MAX = 1_000_000;
/** Ten years, which a clock may jump either way. */
const MS_MAX = 315_360_000_000;

const options = {
  times: Type.Optional(
    Type.Integer({ minimum: 1, maximum: TIMES_MAX, description: 'How often it happens; once when not said' }),
  ),
  after: Type.Optional(
    Type.Integer({ minimum: 0, maximum: TIMES_MAX, description: 'How often it could happen before it first does' }),
  ),
  command: Type.Optional(
    Type.String({
      pattern: '^[a-z-]{1,40}$',
      description: 'Only in commands of this kind: `attach`, `detach`, `reset`, `end-session`, `module-load` …',
    }),
  ),
  client: Type.Optional(
    Type.String({ pattern: '^[\\x20-\\x7e]{1,64}$', description: 'Only in commands of this client' }),
  ),
  place: Type.Optional(Place),
  ms: Type.Optional(
    Type.Integer({
      minimum: -MS_MAX,
      maximum: MS_MAX,
      description: 'Milliseconds: how late a sync round or a flush is, or by how much the clock jumps',
    }),
  ),
  cpu: Type.Optional(Type.Integer({ minimum: 0, maximum: 8191, description: 'The CPU that does not acknowledge' })),
  phase: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 10_000_000, description: 'The step of a command at which it ends, from 1' }),
  ),
  mode: Type.Optional(
    words(['rollback', 'exit'], 'How a command ends that crashes: it is undone, or the whole process is gone'),
  ),
} as const;

export const FaultBody = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 40,
      description: FAULT_NAMES.map((name) => `\`${name}\``).join(', '),
    }),
    ...options,
  },
  { ...strict, title: 'FaultRequest' },
);

export const FaultsQuery = Type.Object({ ...optionalPageQuery }, strict);

export const FaultView = Type.Object(
  {
    id: Type.String(),
    name: words(FAULT_NAMES),
    options: Type.Object(options),
    client: Type.String({ description: 'Who armed it' }),
    since: Timestamp,
    seen: Type.Integer({ description: 'How often it could have happened so far' }),
    fired: Type.Integer({ description: 'How often it has' }),
    remaining: Type.Integer({ description: 'How often it is still going to; 0: it is over' }),
  },
  { title: 'FaultView' },
);

export const FaultPage = pageOf('FaultPage', FaultView);
