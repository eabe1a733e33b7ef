/** BPF programs: loading, listing, running. */
import { BPF_PROGRAM_TYPES } from '../../coordinator/index.ts';
import { Address, HexBytes, nullable, optionalPageQuery, pageOf, strict, Timestamp, words } from './common.ts';
import { Type } from './type.ts';

const ProgramType = words(BPF_PROGRAM_TYPES);
const Via = words(['jit', 'interpreter']);
const INSTRUCTIONS_MAX = 1_000_000_000;
const MILLISECONDS_MAX = 60_000;

const ProgramFunction = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' }),
    args: Type.Array(words(['ctx', 'int']), { maxItems: 5, description: 'The context, or a whole number' }),
    static: Type.Optional(Type.Boolean({ description: 'It can be traced, but nothing can take its place' })),
  },
  { ...strict, title: 'ProgramFunction' },
);

export const ProgramBody = Type.Object(
  {
    type: ProgramType,
    bytecode: Type.String({ pattern: '^([0-9a-fA-F]{16})*$', description: 'Instructions, hex, 8 bytes each' }),
    attachTo: Type.Optional(Type.String({ minLength: 1, maxLength: 512, description: 'The function that it is for' })),
    name: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_.]{1,64}$' })),
    sleepable: Type.Optional(Type.Boolean({ description: 'It may sleep: fentry, fexit, fmod_ret and lsm' })),
    maps: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        maxItems: 64,
        description:
          'Maps that instructions name by their place in this list (BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE)',
      }),
    ),
    functions: Type.Optional(
      Type.Array(ProgramFunction, {
        minItems: 1,
        maxItems: 256,
        description: 'What BTF says of its functions, the main one first; without it others cannot be attached to it',
      }),
    ),
  },
  { ...strict, title: 'ProgramRequest' },
);

const view = {
  id: Type.String(),
  name: Type.String(),
  type: ProgramType,
  attachTo: nullable(Type.String()),
  client: Type.String(),
  since: Timestamp,
  insns: Type.Integer({ description: 'Instructions of the bytecode; a 64-bit immediate counts twice' }),
  jited: Type.Object({
    bytes: HexBytes,
    size: Type.Integer(),
    address: Address,
  }),
  maps: Type.Array(Type.String()),
  attachments: Type.Array(Type.String(), { description: 'Attachments that run it' }),
} as const;

export const ProgramView = Type.Object(view, { title: 'ProgramView' });
/** All programs of an object. */
export const ProgramList = Type.Object({ items: Type.Array(ProgramView) }, { title: 'ProgramList' });
export const ProgramPage = pageOf('ProgramPage', ProgramView);

export const ProgramListingView = Type.Object(
  {
    ...view,
    view: words(['xlated', 'jited']),
    listing: Type.String({ description: 'One instruction a line: as bpftool prog dump xlated, or x86' }),
  },
  { title: 'ProgramListingView' },
);

export const ProgramRunBody = Type.Object(
  {
    input: Type.Optional(
      Type.String({
        pattern: '^([0-9a-fA-F]{2})*$',
        description: 'Memory, hex: R1 points at it, or is 0 when it is empty; R2 is its length',
      }),
    ),
    via: Type.Optional(Via),
    maxInstructions: Type.Optional(Type.Integer({ minimum: 1, maximum: INSTRUCTIONS_MAX })),
    maxMs: Type.Optional(Type.Integer({ minimum: 1, maximum: MILLISECONDS_MAX })),
  },
  { ...strict, title: 'ProgramRunRequest' },
);

export const ProgramRunAnswer = Type.Object(
  {
    returnValue: nullable(Type.String({ pattern: '^0x[0-9a-f]{1,16}$', description: 'R0; null: it did not return' })),
    instructions: Type.Integer({ description: 'Executed: of BPF in the interpreter, of x86 via the JIT' }),
    output: Type.String({ description: 'The memory afterwards, hex' }),
    via: Via,
    log: Type.Array(Type.String(), { description: 'What bpf_trace_printk wrote' }),
    fault: nullable(
      Type.Object({
        reason: Type.String(),
        instruction: Type.Integer(),
        address: nullable(Type.String()),
      }),
    ),
    exceeded: nullable(words(['maxInstructions', 'maxMs'])),
  },
  { title: 'ProgramRunAnswer' },
);

export const LoadProgramQuery = Type.Object(
  {
    section: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description: 'Of an object: the section or the function that is meant, where it has several programs',
      }),
    ),
    attachTo: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description:
          'Of an object: the function that the program is for, instead of the one that its section names; of another program `prog:ID:function`',
      }),
    ),
    all: Type.Optional(Type.Boolean({ description: 'Of an object: all its programs, which share its maps' })),
    name: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_.-]{1,64}$',
        description: 'Of an object: its file’s name without the ending; maps of its data are called after it',
      }),
    ),
  },
  strict,
);
export const ProgramsQuery = Type.Object({ ...optionalPageQuery }, strict);
export const ProgramQuery = Type.Object({ view: Type.Optional(words(['xlated', 'jited'])) }, strict);
