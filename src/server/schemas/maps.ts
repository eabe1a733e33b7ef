/** BPF maps: making, reading, writing. */
import { MAP_TYPES } from '../../coordinator/index.ts';
import {
  Address,
  HexBytes,
  nullable,
  optionalPageQuery,
  pageOf,
  strict,
  Timestamp,
  takeQuery,
  words,
} from './common.ts';
import { Type } from './type.ts';

const MapTypeWord = words(MAP_TYPES);
const U32_MAX = 0xffff_ffff;
const u32 = (description: string) => Type.Integer({ minimum: 0, maximum: U32_MAX, description });
const Hex = (description: string) => Type.String({ pattern: '^([0-9a-fA-F]{2})*$', description });
const Flags = Type.Integer({ minimum: 0, maximum: U32_MAX, description: 'BPF_F_*' });

export const MapBody = Type.Object(
  {
    name: Type.String({ pattern: '^[A-Za-z0-9_.]{1,64}$' }),
    type: MapTypeWord,
    keySize: Type.Optional(u32('Bytes; 4 without it, 0 for a ring buffer')),
    valueSize: Type.Optional(u32('Bytes of one CPU’s value; 4 without it, 0 for a ring buffer')),
    maxEntries: u32('Of a ring buffer: its bytes'),
    flags: Type.Optional(Flags),
    initial: Type.Optional(Hex('Contents of the one element of an array, hex')),
    spinLock: Type.Optional(u32('Where struct bpf_spin_lock is in a value: its offset, which BTF would say')),
    frozen: Type.Optional(Type.Boolean({ description: 'No more writes over HTTP (BPF_MAP_FREEZE)' })),
  },
  { ...strict, title: 'MapRequest' },
);

export const MapView = Type.Object(
  {
    id: Type.String(),
    number: Type.Integer({ description: 'As bpftool counts them' }),
    name: Type.String(),
    type: MapTypeWord,
    keySize: Type.Integer(),
    valueSize: Type.Integer(),
    maxEntries: Type.Integer(),
    flags: Type.Array(Type.String(), { description: 'BPF_F_* that are set' }),
    frozen: Type.Boolean(),
    spinLock: nullable(Type.Integer({ description: 'Where struct bpf_spin_lock is in a value' })),
    cpus: Type.Integer({ description: 'Values of an element: one for each CPU, or one' }),
    address: Address,
    memory: Type.Object({
      reserved: Type.Integer({ description: 'Bytes that count against the limits' }),
      used: Type.Integer({ description: 'Bytes of pages that were written' }),
    }),
    client: Type.String(),
    since: Timestamp,
    programs: Type.Array(Type.String(), { description: 'Programs that were loaded with it' }),
  },
  { title: 'MapView' },
);
export const MapPage = pageOf('MapPage', MapView);

export const MapEntryView = Type.Object(
  {
    key: HexBytes,
    value: nullable(HexBytes),
    values: nullable(Type.Array(HexBytes, { description: 'One for each CPU' })),
    program: nullable(Type.String({ description: 'prog_array: the program' })),
    stack: nullable(Type.Array(Type.String(), { description: 'stack_trace: its places, innermost first' })),
  },
  { title: 'MapEntryView' },
);
export const MapEntryPage = pageOf('MapEntryPage', MapEntryView);

export const MapEntryBody = Type.Object(
  {
    key: Hex('Hex, keySize bytes'),
    value: Type.Optional(Hex('Hex, valueSize bytes; of every CPU, where each has its own')),
    values: Type.Optional(Type.Array(Hex('Hex, valueSize bytes'), { maxItems: 64, description: 'One for each CPU' })),
    program: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'prog_array: the program' })),
    flags: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: U32_MAX,
        description: '0 BPF_ANY, 1 BPF_NOEXIST, 2 BPF_EXIST; 4 BPF_F_LOCK',
      }),
    ),
  },
  { ...strict, title: 'MapEntryRequest' },
);

export const MapKeyParams = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 64 }),
  key: Type.String({ pattern: '^([0-9a-fA-F]{2}){1,1024}$', description: 'Hex' }),
});

export const MapRecords = Type.Object(
  {
    records: Type.Array(
      Type.Object({
        position: Type.String({ description: 'Where it stands in its ring; it only grows' }),
        cpu: nullable(Type.Integer({ description: 'perf_event_array: the CPU whose buffer it was in' })),
        bytes: HexBytes,
      }),
    ),
    lost: Type.Integer({ description: 'perf_event_array: records that found no room' }),
    available: Type.Integer({ description: 'Bytes behind them that are still there' }),
  },
  { title: 'MapRecords' },
);

export const MapRecordsQuery = Type.Object(takeQuery('record'), strict);
export const MapsQuery = Type.Object({ ...optionalPageQuery }, strict);
