import type { Static } from 'typebox';
import { err, ok, type Result } from '../../base/index.ts';
import type { Strategy } from '../../coordinator/index.ts';
import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import {
  ExplorationBody,
  ExplorationPage,
  ExplorationSummary,
  ExplorationsQuery,
  ExplorationView,
  type StrategyBody,
} from '../schemas/explorations.ts';
import { IdParams } from '../schemas/requests.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

const SAMPLE = { seed: 1, schedules: 100_000 } as const;
const CHANGES = 3;

const FIELDS: Readonly<Record<Strategy['kind'], readonly string[]>> = {
  exhaustive: ['order', 'depthMax'],
  random: ['seed', 'schedules'],
  pct: ['seed', 'schedules', 'changes'],
  replay: ['schedule'],
};

function readStrategy(body: Static<typeof StrategyBody>): Result<Strategy> {
  const wrong = (what: string): Result<never> => err(edgeFault('http.schema', `body/strategy: ${what}.`));
  const { kind, order, depthMax, schedule, changes = CHANGES, ...sample } = body;
  const foreign = Object.keys(body).find((name) => name !== 'kind' && !FIELDS[kind].includes(name));
  if (foreign !== undefined) return wrong(`${JSON.stringify(foreign)} does not belong to ${kind}`);
  const sampled = { ...SAMPLE, ...defined(sample) };
  switch (kind) {
    case 'exhaustive':
      if (depthMax !== undefined && order !== 'breadth') return wrong('depthMax needs the order breadth');
      return ok({ kind, ...defined({ order, depthMax }) });
    case 'random':
      return ok({ kind, ...sampled });
    case 'pct':
      return ok({ kind, ...sampled, changes });
    case 'replay':
      return schedule === undefined ? wrong('field "schedule" is missing') : ok({ kind, schedule });
  }
}

export function explorationRoutes(app: App): void {
  app.post(
    '/v1/explorations',
    {
      schema: {
        tags: ['explorations'],
        summary: 'Begin to try every interleaving of a scenario, in a thread of its own and within a budget',
        body: ExplorationBody,
        response: { 202: ExplorationView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { strategy = { kind: 'exhaustive' }, ...rest } = request.body;
      const read = readStrategy(strategy);
      if (!read.ok) return sendFault(reply, read.fault);
      const begun = coordinatorOf(app).newExploration(callerOf(request, reply), {
        ...defined(rest),
        strategy: read.value,
      });
      if (!begun.ok) return sendFault(reply, begun.fault);
      reply.header('location', `/v1/explorations/${begun.value.id}`);
      return sendValue(reply, begun.value, 202);
    },
  );
  app.delete(
    '/v1/explorations/:id',
    {
      schema: {
        tags: ['explorations'],
        summary: 'Stop an exploration, when it runs, and forget it',
        params: IdParams,
        response: { 200: ExplorationSummary, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).deleteExploration(callerOf(request, reply), request.params.id)),
  );
  readRoutes(app);
}

function readRoutes(app: App): void {
  app.get(
    '/v1/explorations',
    {
      schema: {
        tags: ['explorations'],
        summary: 'Explorations that run or whose result is kept, newest first',
        querystring: ExplorationsQuery,
        response: { 200: ExplorationPage, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).explorations(pageRequest(request.query))),
  );
  app.get(
    '/v1/explorations/:id',
    {
      schema: {
        tags: ['explorations'],
        summary: 'How far it is, and what came of it: figures, the shortest schedule that shows a fault, its trace',
        params: IdParams,
        response: { 200: ExplorationView, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).exploration(request.params.id)),
  );
  app.get(
    '/v1/explorations/:id/trace.svg',
    {
      schema: {
        tags: ['explorations'],
        summary: 'Its trace as a picture: phases of patchers, where CPUs are, what each may fetch',
        produces: ['image/svg+xml'],
        params: IdParams,
        response: {
          200: { description: 'SVG', content: { 'image/svg+xml': { schema: { type: 'string' } } } },
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const picture = coordinatorOf(app).explorationPicture(request.params.id);
      if (!picture.ok) return sendFault(reply, picture.fault);
      return reply.type('image/svg+xml').send(picture.value);
    },
  );
}
