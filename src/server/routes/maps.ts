import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import {
  MapBody,
  MapEntryBody,
  MapEntryPage,
  MapEntryView,
  MapKeyParams,
  MapPage,
  MapRecords,
  MapRecordsQuery,
  MapsQuery,
  MapView,
} from '../schemas/maps.ts';
import { IdParams } from '../schemas/requests.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

/** The largest value, for each CPU, in hex. */
const MAP_BODY_BYTES = 10 << 20;

export function mapRoutes(app: App): void {
  app.post(
    '/v1/maps',
    {
      bodyLimit: MAP_BODY_BYTES,
      schema: {
        tags: ['maps'],
        summary: 'Make a BPF map',
        body: MapBody,
        response: { 201: MapView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const size = request.body.type === 'ringbuf' ? 0 : 4;
      const body = { keySize: size, valueSize: size, ...defined(request.body) };
      const made = await coordinatorOf(app).createMap(callerOf(request, reply), body);
      if (!made.ok) return sendFault(reply, made.fault);
      reply.header('location', `/v1/maps/${made.value.id}`);
      return sendValue(reply, made.value, 201);
    },
  );
  app.delete(
    '/v1/maps/:id',
    {
      schema: {
        tags: ['maps'],
        summary: 'Delete a map that no program uses',
        params: IdParams,
        response: { 200: MapView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).deleteMap(callerOf(request, reply), request.params.id)),
  );
  readRoutes(app);
  entryRoutes(app);
  recordRoutes(app);
}

function readRoutes(app: App): void {
  app.get(
    '/v1/maps',
    {
      schema: {
        tags: ['maps'],
        summary: 'Maps of the tenant',
        querystring: MapsQuery,
        response: { 200: MapPage, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, coordinatorOf(app).maps(callerOf(request, reply), pageRequest(request.query))),
  );
  app.get(
    '/v1/maps/:id',
    {
      schema: {
        tags: ['maps'],
        summary: 'One map',
        params: IdParams,
        response: { 200: MapView, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).map(callerOf(request, reply), request.params.id)),
  );
}

function entryRoutes(app: App): void {
  app.get(
    '/v1/maps/:id/entries',
    {
      schema: {
        tags: ['maps'],
        summary: 'What a map holds, in the order of BPF_MAP_GET_NEXT_KEY',
        params: IdParams,
        querystring: MapsQuery,
        response: { 200: MapEntryPage, ...problemResponses },
      },
    },
    async (request, reply) => {
      const page = pageRequest(request.query);
      return sendResult(reply, coordinatorOf(app).mapEntries(callerOf(request, reply), request.params.id, page));
    },
  );
  app.post(
    '/v1/maps/:id/entries',
    {
      bodyLimit: MAP_BODY_BYTES,
      schema: {
        tags: ['maps'],
        summary: 'Write one element (BPF_MAP_UPDATE_ELEM)',
        params: IdParams,
        body: MapEntryBody,
        response: { 200: MapEntryView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(
        reply,
        await coordinatorOf(app).updateMapEntry(callerOf(request, reply), request.params.id, defined(request.body)),
      ),
  );
  app.get(
    '/v1/maps/:id/entries/:key',
    {
      schema: {
        tags: ['maps'],
        summary: 'One element (BPF_MAP_LOOKUP_ELEM); an LRU map does not count it as used',
        params: MapKeyParams,
        response: { 200: MapEntryView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { id, key } = request.params;
      return sendResult(reply, coordinatorOf(app).mapEntry(callerOf(request, reply), id, key));
    },
  );
  app.delete(
    '/v1/maps/:id/entries/:key',
    {
      schema: {
        tags: ['maps'],
        summary: 'Delete one element (BPF_MAP_DELETE_ELEM)',
        params: MapKeyParams,
        response: { 200: MapView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { id, key } = request.params;
      return sendResult(reply, await coordinatorOf(app).deleteMapEntry(callerOf(request, reply), id, key));
    },
  );
}

function recordRoutes(app: App): void {
  const schema = {
    tags: ['maps'],
    params: IdParams,
    querystring: MapRecordsQuery,
    response: { 200: MapRecords, ...problemResponses },
  };
  app.get(
    '/v1/maps/:id/records',
    { schema: { ...schema, summary: 'Records of a ring buffer or of perf buffers; they stay there' } },
    async (request, reply) =>
      sendResult(
        reply,
        await coordinatorOf(app).mapRecords(callerOf(request, reply), request.params.id, defined(request.query)),
      ),
  );
  app.delete(
    '/v1/maps/:id/records',
    { schema: { ...schema, summary: 'Take records out of a ring buffer or perf buffers, waiting for a first one' } },
    async (request, reply) =>
      sendResult(
        reply,
        await coordinatorOf(app).consumeMapRecords(callerOf(request, reply), request.params.id, defined(request.query)),
      ),
  );
}
