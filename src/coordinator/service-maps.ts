/** What the coordinator offers about BPF maps; a part of service.ts. Keys, values and records are hex. */
import type { Result } from '../base/index.ts';
import type { MapType } from '../jit/index.ts';
import type { CreateMapRequest, UpdateElementRequest } from '../registry/index.ts';
import type { Caller, Page, PageRequest } from './service.ts';

export { MAP_TYPES, type MapType } from '../jit/index.ts';
export type { CreateMapRequest, UpdateElementRequest } from '../registry/index.ts';

export interface MapView {
  readonly id: string;
  /** As bpftool counts them. */
  readonly number: number;
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Set BPF_F_*, by name. */
  readonly flags: readonly string[];
  readonly frozen: boolean;
  /** Where struct bpf_spin_lock is in a value. */
  readonly spinLock: number | null;
  /** Values that an element has: one for each CPU, or one. */
  readonly cpus: number;
  /** Address of the map and of its first value, as programs have them. */
  readonly address: string;
  /** Bytes that are counted against the limits, and bytes that are there. */
  readonly memory: { readonly reserved: number; readonly used: number };
  readonly client: string;
  readonly since: string;
  /** Programs that were loaded with it. */
  readonly programs: readonly string[];
}

export interface MapEntryView {
  readonly key: string;
  /** Null where an element has no value of its own: programs, events. */
  readonly value: string | null;
  /** One for each CPU, where each has its own. */
  readonly values: readonly string[] | null;
  /** prog_array */
  readonly program: string | null;
  /** stack_trace: its places, innermost first. */
  readonly stack: readonly string[] | null;
}

export interface MapRecord {
  /** Where it stands in its ring; it only grows. */
  readonly position: string;
  /** perf_event_array: the CPU whose buffer it was in. */
  readonly cpu: number | null;
  readonly bytes: string;
}

export interface MapRecords {
  readonly records: readonly MapRecord[];
  /** perf_event_array: records that found no room, all CPUs together. */
  readonly lost: number;
  /** Bytes that are still there, headers included. */
  readonly available: number;
}

export interface RecordsRequest {
  readonly max?: number;
  /** How long to wait for a first record. */
  readonly waitMs?: number;
}

export interface MapCalls {
  createMap(caller: Caller, request: CreateMapRequest): Promise<Result<MapView>>;
  deleteMap(caller: Caller, id: string): Promise<Result<MapView>>;
  maps(caller: Caller, page: PageRequest): Result<Page<MapView>>;
  map(caller: Caller, id: string): Result<MapView>;
  mapEntries(caller: Caller, id: string, page: PageRequest): Result<Page<MapEntryView>>;
  mapEntry(caller: Caller, id: string, key: string): Result<MapEntryView>;
  updateMapEntry(caller: Caller, id: string, request: UpdateElementRequest): Promise<Result<MapEntryView>>;
  deleteMapEntry(caller: Caller, id: string, key: string): Promise<Result<MapView>>;
  /** Records that are there, which stay there. */
  mapRecords(caller: Caller, id: string, request: RecordsRequest): Promise<Result<MapRecords>>;
  /** The same, and they are gone. */
  consumeMapRecords(caller: Caller, id: string, request: RecordsRequest): Promise<Result<MapRecords>>;
}
