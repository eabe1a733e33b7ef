/** A scenario of the explorer: the format of the files in examples/explorations. */
import { BUILTINS, GRACE_PERIODS, LOCKS, PROPERTIES } from '../../coordinator/index.ts';
import { strict, words } from './common.ts';
import { Type } from './type.ts';

const LIST_MAX = 256;
const COUNT_MAX = 100;

const Name = Type.String({ maxLength: 200 });
const Code = Type.Array(Name, {
  maxItems: LIST_MAX,
  description:
    'Instructions: hex bytes, `nop5`, `ret`, `int3`, `call NAME`, `jmp NAME`, `jmp8 NAME`, `je NAME`, `je8 NAME`',
});
const NamePlace = Type.String({ maxLength: 200, description: 'NAME, `NAME+0x5` or `0x1000`' });
const Value = Type.Union([Name, Type.Array(Name, { maxItems: LIST_MAX })]);
const Count = Type.Integer({ minimum: 0, maximum: COUNT_MAX });

const OPS = [
  'lock',
  'unlock',
  'trylock',
  'poke',
  'queue',
  'finish',
  'arm',
  'disarm',
  'add-kprobe',
  'del-kprobe',
  'detour-kprobe',
  'copy',
  'free',
  'wait',
  'set',
  'attached',
  'detaching',
] as const;

const POKE = {
  to: Code,
  from: Type.Optional({ ...Code, description: 'What must stand there; absent: what the text has there' }),
  emulate: Type.Optional({ ...Code, description: 'What int3 handlers play instead' }),
};

/** All fields of all operations: which belongs to which is said by the refusal, which a schema of alternatives could not. */
const Op = Type.Object(
  {
    op: words(OPS),
    lock: Type.Optional(words(LOCKS, '`lock`, `unlock`, `trylock`')),
    pokes: Type.Optional(
      Type.Array(Type.Object({ at: NamePlace, ...POKE }, { ...strict, title: 'ScenarioPoke' }), { maxItems: LIST_MAX }),
    ),
    at: Type.Optional({
      ...NamePlace,
      description: '`queue`, `arm`, `disarm`, `add-kprobe`, `del-kprobe`, `detour-kprobe`',
    }),
    target: Type.Optional({ ...NamePlace, description: '`detour-kprobe`: where who trapped goes on' }),
    to: Type.Optional({ ...Code, description: '`queue`' }),
    from: POKE.from,
    emulate: POKE.emulate,
    owner: Type.Optional({ ...Name, description: '`add-kprobe`, `attached`, `detaching`' }),
    name: Type.Optional({ ...Name, description: '`copy`, `free`: generated code' }),
    for: Type.Optional(words(GRACE_PERIODS, '`wait`')),
    variable: Type.Optional({ ...Name, description: '`set`' }),
    value: Type.Optional(Value),
  },
  { ...strict, title: 'ScenarioOp' },
);

const Visits = Type.Object(
  { run: Name, times: Count },
  { ...strict, title: 'ScenarioVisits', description: 'An interrupt or NMI: it may come at any boundary' },
);

const Text = Type.Object(
  {
    name: Name,
    at: Type.String({ maxLength: 200, description: '`0x1000` counts from _text, `arena+0x100` from generated code' }),
    code: Type.Optional(Code),
    does: Type.Optional(words(BUILTINS, 'What it does instead of having code')),
    owner: Type.Optional(Name),
    variable: Type.Optional(Name),
    absent: Type.Optional(Type.Boolean({ description: 'Generated code that does not exist at first' })),
  },
  { ...strict, title: 'ScenarioText' },
);

const Cpu = Type.Object(
  {
    run: Name,
    times: Type.Unsafe<number | 'forever'>({
      anyOf: [
        { type: 'integer', minimum: 0, maximum: COUNT_MAX },
        { type: 'string', enum: ['forever'] },
      ],
    }),
    irq: Type.Optional(Visits),
    nmi: Type.Optional(Visits),
    flags: Type.Optional(Type.Integer({ description: 'RFLAGS for conditional jumps' })),
  },
  { ...strict, title: 'ScenarioCpu' },
);

export const ScenarioBody = Type.Object(
  {
    name: Name,
    about: Type.String({ maxLength: 4000 }),
    fetch: words(['weak', 'quad', 'line', 'sc'], 'How stale CPUs may fetch'),
    text: Type.Array(Text, { maxItems: LIST_MAX }),
    variables: Type.Optional(Type.Record(Type.String(), Value)),
    attached: Type.Optional(Type.Array(Name, { maxItems: LIST_MAX })),
    on: Type.Optional(Type.Record(Type.String(), Type.Array(Name, { maxItems: LIST_MAX }))),
    patchers: Type.Array(
      Type.Object({ do: Type.Array(Op, { maxItems: LIST_MAX }) }, { ...strict, title: 'ScenarioPatcher' }),
      { maxItems: LIST_MAX },
    ),
    cpus: Type.Array(Cpu, { maxItems: LIST_MAX }),
    hold: Type.Optional(Type.Array(words(PROPERTIES), { maxItems: LIST_MAX, description: 'Absent: all' })),
    final: Type.Optional(Type.Record(Type.String(), Code)),
  },
  { ...strict, title: 'Scenario', description: 'As in examples/explorations' },
);
