/** BPF maps: made, deleted and written by commands, read beside them. What they hold is part of the kernel's state. */
import { err, ok, type Result } from '../base/index.ts';
import {
  type BpfMap,
  type CreateMapRequest,
  decideConsume,
  decideCreateMap,
  decideDeleteElement,
  decideDeleteMap,
  decideMapWrites,
  decideUpdateElement,
  type MapChange,
  type MapWrite,
  mapUnknown,
  type UpdateElementRequest,
} from '../registry/index.ts';
import type { Command, CommandTurn } from './command.ts';
import { reject } from './commands.ts';
import type { Kernel } from './kernel.ts';
import type { MapTurn } from './map-turn.ts';
import { mapEntries, mapEntry, mapView, ringRecords } from './map-views.ts';
import { pageOf } from './paging.ts';
import type { Caller } from './service.ts';
import type { MapCalls, MapRecords, MapView, RecordsRequest } from './service-maps.ts';
import { waitFor } from './wait-for.ts';

const RECORDS = { default: 100, max: 1_000 } as const;

/** Maps are shared by a tenant and invisible to others; an administrator sees all. */
function own(kernel: Kernel, caller: Caller, id: string): Result<BpfMap> {
  const map = kernel.state.maps.get(id);
  const isMine = map !== undefined && (caller.isAdmin || map.tenant === caller.tenant);
  return isMine ? ok(map) : err(mapUnknown(id));
}

type What = 'created' | 'deleted' | 'updated' | 'consumed';

function take(turn: CommandTurn, change: Result<MapChange>, what: What, id?: string): Result<BpfMap> {
  const { kernel, caller } = turn;
  if (!change.ok) return reject(kernel, caller, { map: id ?? what }, change.fault);
  const { state, map } = change.value;
  kernel.state = state;
  const { name, type } = map.spec;
  kernel.events.append('map', { map: map.id, name, type, client: map.client, by: caller.client, what });
  return ok(map);
}

const viewed = (turn: CommandTurn, map: Result<BpfMap>): Result<MapView> =>
  map.ok ? ok(mapView(turn.kernel, map.value)) : map;

export const CREATE_MAP: Command<CreateMapRequest, MapView> = {
  kind: 'create-map',
  describe: () => 'create a map',
  run(turn, request) {
    const { kernel, caller, now } = turn;
    const identity = { id: now.newId('map'), client: caller.client, tenant: caller.tenant, nowMs: now.ms };
    return viewed(turn, take(turn, decideCreateMap(kernel.state, request, identity), 'created'));
  },
};

export const DELETE_MAP: Command<{ readonly id: string }, MapView> = {
  kind: 'delete-map',
  describe: () => 'delete a map',
  run(turn, { id }) {
    const { kernel, caller } = turn;
    const map = own(kernel, caller, id);
    if (!map.ok) return reject(kernel, caller, { map: id }, map.fault);
    return viewed(turn, take(turn, decideDeleteMap(kernel.state, id), 'deleted', id));
  },
};

export const UPDATE_MAP_ENTRY: Command<{ readonly id: string; readonly entry: UpdateElementRequest }, MapView> = {
  kind: 'update-map-entry',
  describe: () => 'update an element of a map',
  run(turn, { id, entry }) {
    const { kernel, caller } = turn;
    const map = own(kernel, caller, id);
    if (!map.ok) return reject(kernel, caller, { map: id }, map.fault);
    return viewed(turn, take(turn, decideUpdateElement(kernel.state, id, entry), 'updated', id));
  },
};

export const DELETE_MAP_ENTRY: Command<{ readonly id: string; readonly key: string }, MapView> = {
  kind: 'delete-map-entry',
  describe: () => 'delete an element of a map',
  run(turn, { id, key }) {
    const { kernel, caller } = turn;
    const map = own(kernel, caller, id);
    if (!map.ok) return reject(kernel, caller, { map: id }, map.fault);
    return viewed(turn, take(turn, decideDeleteElement(kernel.state, id, key), 'updated', id));
  },
};

/** The records of a map's rings up to the first `max` are taken away, and answered. */
export const CONSUME_MAP_RECORDS: Command<{ readonly id: string; readonly max: number }, MapRecords> = {
  kind: 'consume-map-records',
  describe: () => 'consume records of a map',
  run(turn, { id, max }) {
    const { kernel, caller } = turn;
    const map = own(kernel, caller, id);
    const found = map.ok ? ringRecords(map.value, max) : map;
    if (!found.ok) return reject(kernel, caller, { map: id }, found.fault);
    let change: Result<MapChange> = map.ok ? ok({ state: kernel.state, map: map.value }) : map;
    for (const [ring, upTo] of found.value.upTo.entries())
      if (change.ok) change = decideConsume(change.value.state, id, ring, upTo);
    const done = take(turn, change, 'consumed', id);
    return done.ok ? ok(found.value.view) : done;
  },
};

/** What a run or a call of the kernel's functions wrote to maps. */
export const WRITE_MAPS: Command<{ readonly writes: readonly MapWrite[] }, null> = {
  kind: 'write-maps',
  describe: () => 'take over what a run wrote to maps',
  run({ kernel, caller }, { writes }) {
    kernel.state = decideMapWrites(kernel.state, writes);
    for (const id of new Set(writes.map(({ map }) => map))) {
      const map = kernel.state.maps.get(id);
      if (map === undefined) continue;
      const { name, type } = map.spec;
      kernel.events.append('map', { map: id, name, type, client: map.client, by: caller.client, what: 'written' });
    }
    return ok(null);
  },
};

/** Waits until a map has a record, at most as long as was asked for. */
async function withRecords(
  kernel: Kernel,
  caller: Caller,
  id: string,
  { max = RECORDS.default, waitMs = 0 }: RecordsRequest,
): Promise<Result<MapRecords>> {
  const found = await waitFor(kernel.clock, caller, waitMs, {
    onChange: (listener) => kernel.onCommandDone(listener),
    look: () => {
      const map = own(kernel, caller, id);
      return map.ok ? ringRecords(map.value, Math.min(max, RECORDS.max)) : map;
    },
    isThere: (records) => !records.ok || records.value.view.records.length > 0,
  });
  return found.ok ? ok(found.value.view) : found;
}

export function mapCalls(kernel: Kernel, turn: MapTurn): MapCalls {
  const viewOf = <T>(caller: Caller, id: string, view: (map: BpfMap) => Result<T>): Result<T> => {
    const map = own(kernel, caller, id);
    return map.ok ? view(map.value) : map;
  };
  return {
    createMap: (caller, request) => kernel.execute(CREATE_MAP, caller, request),
    deleteMap: (caller, id) => turn.run(() => kernel.execute(DELETE_MAP, caller, { id })),
    maps: (caller, page) => {
      const mine = [...kernel.state.maps.values()].filter(({ id }) => own(kernel, caller, id).ok);
      return pageOf(mine, page, (map) => mapView(kernel, map));
    },
    map: (caller, id) => viewOf(caller, id, (map) => ok(mapView(kernel, map))),
    mapEntries: (caller, id, page) => viewOf(caller, id, (map) => mapEntries(kernel, map, page)),
    mapEntry: (caller, id, key) => viewOf(caller, id, (map) => mapEntry(kernel, map, key)),
    updateMapEntry: (caller, id, entry) =>
      turn.run(async () => {
        const done = await kernel.execute(UPDATE_MAP_ENTRY, caller, { id, entry });
        return done.ok ? viewOf(caller, id, (map) => mapEntry(kernel, map, entry.key)) : done;
      }),
    deleteMapEntry: (caller, id, key) => turn.run(() => kernel.execute(DELETE_MAP_ENTRY, caller, { id, key })),
    mapRecords: (caller, id, request) => withRecords(kernel, caller, id, request),
    async consumeMapRecords(caller, id, request) {
      const there = await withRecords(kernel, caller, id, request);
      if (!there.ok || there.value.records.length === 0) return there;
      const max = Math.min(request.max ?? RECORDS.default, RECORDS.max);
      return turn.run(() => kernel.execute(CONSUME_MAP_RECORDS, caller, { id, max }));
    },
  };
}
