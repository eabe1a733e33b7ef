/** BPF maps of the coordinator for tests of the edge. */
import { err, ok } from '../../src/base/index.ts';
import type {
  Caller,
  Coordinator,
  MapCalls,
  MapEntryView,
  MapView,
  TracePipeCalls,
} from '../../src/coordinator/index.ts';

type TracePipe = Pick<Coordinator, keyof TracePipeCalls>;
type Maps = Pick<Coordinator, keyof MapCalls>;

export function fakeMaps(callers: Caller[]): Maps {
  const maps = new Map<string, MapView>();
  const found = (id: string) => {
    const map = maps.get(id);
    return map === undefined
      ? err({ errno: 'ENOENT' as const, rule: 'map.unknown', detail: `${id} is not a map.` })
      : ok(map);
  };
  const entry = (key: string): MapEntryView => ({ key, value: '00000000', values: null, program: null, stack: null });
  const whenFound = <T>(id: string, value: T) => {
    const map = found(id);
    return map.ok ? ok(value) : map;
  };
  return {
    async createMap(caller, { name, type, keySize, valueSize, maxEntries, frozen = false }) {
      callers.push(caller);
      const view: MapView = {
        id: `map_${maps.size + 1}`,
        number: maps.size + 1,
        name,
        type,
        keySize,
        valueSize,
        maxEntries,
        flags: [],
        frozen,
        spinLock: null,
        cpus: 1,
        address: '0xffffc91000000000',
        memory: { reserved: 8192, used: 0 },
        client: caller.client,
        since: '2026-01-01T00:00:00.000Z',
        programs: [],
      };
      maps.set(view.id, view);
      return ok(view);
    },
    async deleteMap(_caller, id) {
      const map = found(id);
      maps.delete(id);
      return map;
    },
    maps: () => ok({ items: [...maps.values()], nextCursor: null }),
    map: (_caller, id) => found(id),
    mapEntries: (_caller, id) => whenFound(id, { items: [entry('00000000')], nextCursor: null }),
    mapEntry: (_caller, id, key) => whenFound(id, entry(key)),
    updateMapEntry: async (_caller, id, { key }) => whenFound(id, entry(key)),
    deleteMapEntry: async (_caller, id) => found(id),
    mapRecords: async (_caller, id) => whenFound(id, { records: [], lost: 0, available: 0 }),
    consumeMapRecords: async (_caller, id) =>
      whenFound(id, { records: [{ position: '0', cpu: null, bytes: '01' }], lost: 0, available: 0 }),
  };
}

export function fakeTracePipe(callers: Caller[]): TracePipe {
  const line = {
    line: '…: bpf_trace_printk: hello',
    text: 'hello',
    cpu: 0,
    timeNs: '1',
    attachment: null,
    program: null,
  };
  const read = async (caller: Caller) => {
    callers.push(caller);
    return ok({ lines: [line], lost: 0, available: 0 });
  };
  return { tracePipe: read, consumeTracePipe: read };
}
