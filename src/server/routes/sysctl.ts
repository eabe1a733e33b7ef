import type { App } from '../app-type.ts';
import { sendResult } from '../problem.ts';
import { SysctlView } from '../schemas/answers.ts';
import { NameParams, SysctlBody } from '../schemas/requests.ts';
import { callerOf, coordinatorOf, problemResponses } from './support.ts';

export function sysctlRoutes(app: App): void {
  app.get(
    '/v1/sysctl/:name',
    {
      schema: {
        tags: ['kernel'],
        summary: 'The value of kernel.ftrace_enabled or debug.kprobes-optimization',
        params: NameParams,
        response: { 200: SysctlView, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).sysctl(request.params.name)),
  );

  app.put(
    '/v1/sysctl/:name',
    {
      config: { access: 'admin' },
      schema: {
        tags: ['kernel'],
        summary: 'Writes a sysctl, for everyone; refused as Linux refuses',
        params: NameParams,
        body: SysctlBody,
        response: { 200: SysctlView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(
        reply,
        await coordinatorOf(app).setSysctl(callerOf(request, reply), request.params.name, request.body.value),
      ),
  );
}
