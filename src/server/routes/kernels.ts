import type { App } from '../app-type.ts';
import { sendValue } from '../problem.ts';
import { KernelsView } from '../schemas/answers.ts';
import { coordinatorOf, problemResponses } from './support.ts';

export function kernelRoutes(app: App): void {
  app.get(
    '/v1/kernels',
    {
      schema: {
        tags: ['rules'],
        summary: 'Kernel versions whose rules are built, and the facts in which they differ, each with its source',
        response: { 200: KernelsView, ...problemResponses },
      },
    },
    async (_request, reply) => sendValue(reply, coordinatorOf(app).kernels()),
  );
}
