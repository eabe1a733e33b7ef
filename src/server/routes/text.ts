import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import {
  AtQuery,
  BlameQuery,
  NameParams,
  PageQuery,
  PlaceParams,
  SitesQuery,
  SymbolsQuery,
  TextQuery,
} from '../schemas/requests.ts';
import { BlameView, PokePage, SitePage, SiteView, SymbolPage, SymbolView, TextView } from '../schemas/text.ts';
import { coordinatorOf, defined, pageRequest, problemResponses, readsOf } from './support.ts';

const TEXT_LENGTH_DEFAULT = 64;

export function textRoutes(app: App): void {
  symbolRoutes(app);
  siteRoutes(app);
  app.get(
    '/v1/text',
    {
      schema: {
        tags: ['text'],
        summary: 'Bytes and instructions, now and as after boot',
        querystring: TextQuery,
        response: { 200: TextView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { at, length = TEXT_LENGTH_DEFAULT, asOf } = request.query;
      const reads = await readsOf(app, asOf);
      return sendResult(reply, reads.ok ? reads.value.text(at, length) : reads);
    },
  );
}

function symbolRoutes(app: App): void {
  app.get(
    '/v1/symbols',
    {
      schema: {
        tags: ['text'],
        summary: 'Symbols by pattern, and what can be attached to them',
        querystring: SymbolsQuery,
        response: { 200: SymbolPage, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { match, attachable } = request.query;
      return sendResult(
        reply,
        coordinatorOf(app).symbols({ ...defined({ match, attachable }), ...pageRequest(request.query) }),
      );
    },
  );

  app.get(
    '/v1/symbols/:name',
    {
      schema: {
        tags: ['text'],
        summary: 'One symbol',
        params: NameParams,
        response: { 200: SymbolView, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).symbol(request.params.name)),
  );
}

function siteRoutes(app: App): void {
  app.get(
    '/v1/sites',
    {
      schema: {
        tags: ['sites'],
        summary: 'Sites that someone owns',
        querystring: SitesQuery,
        response: { 200: SitePage, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { state, at } = request.query;
      const reads = await readsOf(app, at);
      const query = { ...defined({ state }), ...pageRequest(request.query) };
      return sendResult(reply, reads.ok ? reads.value.sites(query) : reads);
    },
  );

  app.get(
    '/v1/sites/:place',
    {
      schema: {
        tags: ['sites'],
        summary: 'One site: its bytes, its owners in the order in which they run, its revision (also the ETag)',
        params: PlaceParams,
        querystring: AtQuery,
        response: { 200: SiteView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const reads = await readsOf(app, request.query.at);
      const site = reads.ok ? reads.value.site(request.params.place) : reads;
      if (!site.ok) return sendFault(reply, site.fault);
      reply.header('etag', `"${site.value.revision}"`);
      return sendValue(reply, site.value);
    },
  );

  app.get(
    '/v1/blame/:place',
    {
      schema: {
        tags: ['sites'],
        summary: 'Who changed these bytes, when, and what they hide',
        params: PlaceParams,
        querystring: BlameQuery,
        response: { 200: BlameView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, coordinatorOf(app).blame(request.params.place, request.query.length ?? TEXT_LENGTH_DEFAULT)),
  );

  app.get(
    '/v1/sites/:place/history',
    {
      schema: {
        tags: ['sites'],
        summary: 'Each poke at a site',
        params: PlaceParams,
        querystring: PageQuery,
        response: { 200: PokePage, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, coordinatorOf(app).siteHistory(request.params.place, pageRequest(request.query))),
  );
}
