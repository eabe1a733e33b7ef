import type { FastifyRequest } from 'fastify';
import type { RuleView as Rule } from '../../coordinator/index.ts';
import type { App } from '../app-type.ts';
import { sendFault, sendValue } from '../problem.ts';
import { ruleListPage, rulePage } from '../rule-pages.ts';
import { EDGE_RULES, edgeFault } from '../rules.ts';
import { RuleList, RuleView } from '../schemas/answers.ts';
import { IdParams } from '../schemas/requests.ts';
import { problemResponses } from './support.ts';

/** JSON unless the caller names text/html and does not name JSON before it: browsers do, programs do not. */
export function wantsHtml(request: FastifyRequest): boolean {
  const types = (request.headers.accept ?? '').split(',').map((t) => t.split(';')[0]?.trim().toLowerCase());
  const html = types.indexOf('text/html');
  const json = types.indexOf('application/json');
  return html >= 0 && (json < 0 || html < json);
}

/** The coordinator's rules and the edge's, sorted by id; the edge's alone while the image is loading. */
function allRules(app: App): readonly Rule[] {
  const rules = [...(app.services.state.coordinator()?.rules() ?? []), ...EDGE_RULES];
  return [...new Map(rules.map((r) => [r.id, r])).values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

export function ruleRoutes(app: App): void {
  app.get(
    '/v1/rules',
    {
      config: { access: 'open' },
      schema: {
        tags: ['rules'],
        summary: 'Every rule that can refuse a request; HTML for browsers',
        response: { 200: RuleList, ...problemResponses },
      },
    },
    async (request, reply) => {
      const rules = allRules(app);
      reply.header('vary', 'accept');
      if (wantsHtml(request))
        return reply
          .type('text/html; charset=utf-8')
          .serializer(String)
          .send(ruleListPage(rules) as never);
      return sendValue(reply, { items: rules, nextCursor: null });
    },
  );

  app.get(
    '/v1/rules/:id',
    {
      config: { access: 'open' },
      schema: {
        tags: ['rules'],
        summary: 'One rule: what it refuses, why, where Linux decides it, and ways out',
        params: IdParams,
        response: { 200: RuleView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const rule = allRules(app).find((r) => r.id === id);
      if (rule === undefined)
        return sendFault(reply, edgeFault('rules.unknown', `There is no rule ${JSON.stringify(id)}.`));
      reply.header('vary', 'accept');
      if (wantsHtml(request))
        return reply
          .type('text/html; charset=utf-8')
          .serializer(String)
          .send(rulePage(rule) as never);
      return sendValue(reply, rule);
    },
  );
}
