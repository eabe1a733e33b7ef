import type { App } from '../app-type.ts';
import { sendResult } from '../problem.ts';
import { TracePipeLines, TracePipeQuery } from '../schemas/trace-pipe.ts';
import { kernelViewRoute } from './kernel-view.ts';
import { callerOf, coordinatorOf, defined, problemResponses } from './support.ts';

export function tracefsRoutes(app: App): void {
  const route = (name: string, summary: string): void =>
    kernelViewRoute(app, `/v1/tracefs/${name}`, `tracing/${name}`, summary);
  route('enabled_functions', 'Sites that call something now, in the kernel’s own format');
  route('touched_functions', 'Sites that ever called something, in the kernel’s own format; not before 6.4');
  route('kprobe_profile', 'Hits and misses of probes that came through tracefs, in the kernel’s own format');
  route('available_filter_functions', 'Functions with an ftrace site, in the kernel’s own format');
  tracePipeRoutes(app);
}

function tracePipeRoutes(app: App): void {
  const schema = {
    tags: ['programs'],
    querystring: TracePipeQuery,
    response: { 200: TracePipeLines, ...problemResponses },
  };
  app.get(
    '/v1/tracefs/trace_pipe',
    { schema: { ...schema, summary: 'What your programs wrote with bpf_trace_printk; the lines stay there' } },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).tracePipe(callerOf(request, reply), defined(request.query))),
  );
  app.delete(
    '/v1/tracefs/trace_pipe',
    { schema: { ...schema, summary: 'Take lines out, waiting for a first one, as reading trace_pipe does' } },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).consumeTracePipe(callerOf(request, reply), defined(request.query))),
  );
}
