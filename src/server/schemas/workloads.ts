import { CPU_COUNT_MAX } from '../../coordinator/index.ts';
import { ARGUMENTS_MAX, CallArgument } from './calls.ts';
import { nullable, optionalPageQuery, Place, pageOf, strict, Timestamp, words } from './common.ts';
import { Type } from './type.ts';

const CALLS_MAX = 16;
const RATE_MAX = 5_000;
const SECONDS_MAX = 3_600;

const WorkloadCall = Type.Object(
  {
    function: Place,
    args: Type.Optional(Type.Array(CallArgument, { maxItems: ARGUMENTS_MAX })),
    sample: Type.Optional(Type.Boolean({ description: 'Missing arguments by prototype' })),
  },
  { ...strict, title: 'WorkloadCall' },
);

export const WorkloadBody = Type.Object(
  {
    calls: Type.Array(WorkloadCall, { minItems: 1, maxItems: CALLS_MAX, description: 'All equally often' }),
    cpus: Type.Optional(Type.Integer({ minimum: 1, maximum: CPU_COUNT_MAX, description: 'Default 4' })),
    callsPerSecond: Type.Optional(Type.Integer({ minimum: 1, maximum: RATE_MAX, description: 'Default 100' })),
    seconds: Type.Optional(
      Type.Integer({ minimum: 1, maximum: SECONDS_MAX, description: 'It ends by itself then; default 600' }),
    ),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffff_ffff })),
  },
  { ...strict, title: 'WorkloadRequest' },
);

const Count = Type.Integer();

export const WorkloadView = Type.Object(
  {
    id: Type.String(),
    client: Type.String(),
    since: Timestamp,
    state: words(['running', 'stopped', 'failed']),
    why: nullable(Type.String({ description: '`stopped`, `time`, or what failed' })),
    cpus: Count,
    functions: Type.Array(Type.String()),
    callsPerSecond: Count,
    seconds: Count,
    seed: Count,
    started: Count,
    finished: Count,
    inFlight: Count,
    ended: Type.Record(Type.String(), Count, { description: 'By what calls ended with' }),
    instructions: Count,
    hits: Count,
    misses: Count,
    crossed: Type.Integer({ description: 'Calls that ran while text changed under them' }),
    pokeTraps: Type.Integer({ description: 'Traps into a poke under way' }),
    changes: Type.Object(
      {
        live: Type.Integer({ description: 'Of owners, while CPUs went on' }),
        stopped: Type.Integer({ description: 'For which all calls had to end before' }),
      },
      { title: 'WorkloadChanges' },
    ),
    wrong: Type.Integer({ description: 'Calls that did not fire whom they had to, or came to another result' }),
    firstWrong: nullable(Type.String()),
  },
  { title: 'WorkloadView' },
);

export const WorkloadsQuery = Type.Object({ ...optionalPageQuery }, strict);
export const WorkloadPage = pageOf('WorkloadPage', WorkloadView);
