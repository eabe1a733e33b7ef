import { CPU_COUNT } from '../../coordinator/index.ts';
import { Address, HexBytes, nullable, Place, strict, words } from './common.ts';
import { Type } from './type.ts';

export const ARGUMENTS_MAX = 32;
const TRACE_MAX = 1_000;

export const CallArgument = Type.Unsafe<string | number | { readonly buffer: string } | { readonly symbol: string }>({
  anyOf: [
    { type: 'string', maxLength: 20, description: 'A whole number: `48`, `-1`, `0xff`' },
    { type: 'integer' },
    {
      ...Type.Object({ buffer: HexBytes }, strict),
      description: 'Allocated, its address passed; its contents come back',
    },
    { ...Type.Object({ symbol: Place }, strict), description: 'The address of a place in text' },
  ],
});

export const CallBody = Type.Object(
  {
    function: Place,
    args: Type.Optional(Type.Array(CallArgument, { maxItems: ARGUMENTS_MAX })),
    sample: Type.Optional(
      Type.Boolean({ description: 'Missing arguments by prototype; pointers get zeroed memory of what they point to' }),
    ),
    cpu: Type.Optional(Type.Integer({ minimum: 0, maximum: CPU_COUNT - 1 })),
    trace: Type.Optional(
      Type.Integer({ minimum: 0, maximum: TRACE_MAX, description: 'How many executed instructions to show' }),
    ),
    maxInstructions: Type.Optional(Type.Integer({ minimum: 1, description: 'Default 10,000,000, at most 50,000,000' })),
    maxMs: Type.Optional(Type.Integer({ minimum: 1, description: 'Default 2,000, at most 10,000' })),
  },
  { ...strict, title: 'CallRequest' },
);

const Word = Type.String({ description: 'A 64-bit value, `0x` and 16 hex digits' });

export const CallAnswer = Type.Object(
  {
    function: Type.String(),
    ended: words(['returned', 'fault', 'budget']),
    returnValue: nullable(Word),
    instructions: Type.Integer(),
    fired: Type.Array(
      Type.Object(
        {
          attachment: Type.String(),
          kind: Type.String(),
          place: Type.String(),
          args: Type.Array(Word),
          returnValue: nullable(Word),
          instructions: Type.Integer(),
        },
        { title: 'CallFired' },
      ),
    ),
    misses: Type.Array(
      Type.Object({ attachment: Type.String(), kind: Type.String(), reason: Type.String() }, { title: 'CallMiss' }),
    ),
    registers: Type.Record(Type.String(), Word),
    log: Type.Array(Type.String()),
    buffers: Type.Array(
      Type.Object({ arg: Type.Integer(), address: Address, bytes: HexBytes }, { title: 'CallBuffer' }),
    ),
    fault: nullable(
      Type.Object(
        {
          name: Type.String(),
          detail: Type.String(),
          rip: Address,
          place: Type.String(),
          address: nullable(Address),
          bytes: HexBytes,
          instructions: Type.Array(
            Type.Object(
              { address: Address, bytes: HexBytes, text: Type.String(), target: nullable(Address) },
              { title: 'CallInstruction' },
            ),
          ),
        },
        { title: 'CallFault' },
      ),
    ),
    exceeded: nullable(words(['instructions', 'time'])),
    trace: Type.Array(Type.Object({ address: Address, place: Type.String() }, { title: 'CallTrace' })),
  },
  { title: 'CallAnswer' },
);
