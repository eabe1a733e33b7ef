import type { App } from '../app-type.ts';
import { sendFault } from '../problem.ts';
import { coordinatorOf, problemResponses } from './support.ts';

/** A route that answers a file of the kernel as the kernel prints it. `file` is its path below /sys/kernel. */
export function kernelViewRoute(app: App, path: string, file: string, summary: string): void {
  app.get(
    path,
    {
      schema: {
        tags: ['kernel'],
        summary,
        produces: ['text/plain'],
        response: {
          200: { description: 'Lines', content: { 'text/plain': { schema: { type: 'string' } } } },
          ...problemResponses,
        },
      },
    },
    async (_request, reply) => {
      const view = coordinatorOf(app).kernelView(file);
      if (!view.ok) return sendFault(reply, view.fault);
      return reply.type('text/plain; charset=utf-8').send(view.value);
    },
  );
}
