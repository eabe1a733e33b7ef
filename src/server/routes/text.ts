import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { PokePage, SitePage, SiteView, SymbolPage, SymbolView, TextView } from '../schemas/answers.ts';
import { NameParams, PageQuery, PlaceParams, SitesQuery, SymbolsQuery, TextQuery } from '../schemas/requests.ts';
import { coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

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
      const { at, length = TEXT_LENGTH_DEFAULT } = request.query;
      return sendResult(reply, coordinatorOf(app).text(at, length));
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
      const { state } = request.query;
      return sendResult(reply, coordinatorOf(app).sites({ ...defined({ state }), ...pageRequest(request.query) }));
    },
  );

  app.get(
    '/v1/sites/:place',
    {
      schema: {
        tags: ['sites'],
        summary: 'One site: its bytes, its owners in the order in which they run, its revision (also the ETag)',
        params: PlaceParams,
        response: { 200: SiteView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const site = coordinatorOf(app).site(request.params.place);
      if (!site.ok) return sendFault(reply, site.fault);
      reply.header('etag', `"${site.value.revision}"`);
      return sendValue(reply, site.value);
    },
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
