/** Requests about BPF maps and programs. */
import { type Answer, part, type QueryValue, type Send, withQuery } from './call.ts';
import type { Client } from './client.ts';

type MapMethods = Pick<
  Client,
  | 'createMap'
  | 'deleteMap'
  | 'maps'
  | 'map'
  | 'mapEntries'
  | 'mapEntry'
  | 'updateMapEntry'
  | 'deleteMapEntry'
  | 'mapRecords'
  | 'consumeMapRecords'
>;

export function mapCalls(json: Send): MapMethods {
  const to = <T>(method: string, path: string, query: object = {}, body?: unknown): Promise<Answer<T>> =>
    json({
      method,
      path: withQuery(`/v1/maps${path}`, query as Readonly<Record<string, QueryValue>>),
      ...(body === undefined ? {} : { body }),
    });
  return {
    createMap: (map) => to('POST', '', {}, map),
    deleteMap: (id) => to('DELETE', `/${part(id)}`),
    maps: (query) => to('GET', '', query),
    map: (id) => to('GET', `/${part(id)}`),
    mapEntries: (id, query) => to('GET', `/${part(id)}/entries`, query),
    mapEntry: (id, key) => to('GET', `/${part(id)}/entries/${part(key)}`),
    updateMapEntry: (id, entry) => to('POST', `/${part(id)}/entries`, {}, entry),
    deleteMapEntry: (id, key) => to('DELETE', `/${part(id)}/entries/${part(key)}`),
    mapRecords: (id, query) => to('GET', `/${part(id)}/records`, query),
    consumeMapRecords: (id, query) => to('DELETE', `/${part(id)}/records`, query),
  };
}

/** Of programs. */
export function programCalls(
  json: Send,
): Pick<
  Client,
  | 'loadProgram'
  | 'loadObject'
  | 'loadObjectPrograms'
  | 'unloadProgram'
  | 'programs'
  | 'program'
  | 'programListing'
  | 'runProgram'
> {
  return {
    loadProgram: (program) => json({ method: 'POST', path: '/v1/programs', body: program }),
    loadObject: (file, objectOptions = {}) =>
      json({ method: 'POST', path: withQuery('/v1/programs', { ...objectOptions }), file }),
    loadObjectPrograms: (file, { name } = {}) =>
      json({ method: 'POST', path: withQuery('/v1/programs', { name, all: true }), file }),
    unloadProgram: (id) => json({ method: 'DELETE', path: `/v1/programs/${part(id)}` }),
    programs: (query) => json({ method: 'GET', path: withQuery('/v1/programs', { ...query }) }),
    program: (id) => json({ method: 'GET', path: `/v1/programs/${part(id)}` }),
    programListing: (id, view) => json({ method: 'GET', path: withQuery(`/v1/programs/${part(id)}`, { view }) }),
    runProgram: (id, run) => json({ method: 'POST', path: `/v1/programs/${part(id)}/runs`, body: run }),
  };
}

/** Of faults that are injected. */
export function faultCalls(json: Send): Pick<Client, 'injectFault' | 'faults' | 'removeFault'> {
  return {
    injectFault: (fault) => json({ method: 'POST', path: '/v1/faults', body: fault }),
    faults: (query) => json({ method: 'GET', path: withQuery('/v1/faults', { ...query }) }),
    removeFault: (id) => json({ method: 'DELETE', path: `/v1/faults/${part(id)}` }),
  };
}
