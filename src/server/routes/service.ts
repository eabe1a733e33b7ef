import type { App } from '../app-type.ts';
import { sendFault } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import { Live, Ready } from '../schemas/answers.ts';
import { problemResponses, sendNotReady } from './support.ts';

export function serviceRoutes(app: App): void {
  app.get(
    '/healthz',
    {
      config: { access: 'open' },
      schema: { tags: ['service'], summary: 'The process is alive', response: { 200: Live } },
    },
    async (_request, reply) => reply.send({ status: 'live' }),
  );

  app.get(
    '/readyz',
    {
      config: { access: 'open' },
      schema: {
        tags: ['service'],
        summary: 'The image is loaded and commands are taken',
        response: { 200: Ready, ...problemResponses },
      },
    },
    async (_request, reply) => {
      const coordinator = app.services.state.coordinator();
      if (coordinator === undefined) return sendNotReady(reply, app.services.state);
      const violation = coordinator.poisoned();
      if (violation !== undefined) return sendFault(reply, edgeFault('service.poisoned', violation));
      const { release } = coordinator.image();
      return reply.send({ status: 'ready', release, faultInjection: coordinator.faultInjection() });
    },
  );

  app.get(
    '/metrics',
    { schema: { tags: ['service'], summary: 'Prometheus', produces: ['text/plain'] } },
    async (_request, reply) => reply.type(app.services.metrics.contentType).send(await app.services.metrics.render()),
  );
}
