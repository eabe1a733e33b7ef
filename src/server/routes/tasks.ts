import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { IdParams } from '../schemas/requests.ts';
import { TaskBody, TaskMoveBody, TaskPage, TasksQuery, TaskView } from '../schemas/tasks.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

export function taskRoutes(app: App): void {
  app.post(
    '/v1/tasks',
    {
      schema: {
        tags: ['tasks'],
        summary: 'Start a simulated task, and put it to sleep in the functions of its stack',
        body: TaskBody,
        response: { 201: TaskView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const made = await coordinatorOf(app).newTask(callerOf(request, reply), defined(request.body));
      if (!made.ok) return sendFault(reply, made.fault);
      reply.header('location', `/v1/tasks/${made.value.id}`);
      return sendValue(reply, made.value, 201);
    },
  );
  app.patch(
    '/v1/tasks/:id',
    {
      schema: {
        tags: ['tasks'],
        summary: 'Let a task go on: an empty stack brings a user task back to user mode',
        params: IdParams,
        body: TaskMoveBody,
        response: { 200: TaskView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(
        reply,
        await coordinatorOf(app).moveTask(callerOf(request, reply), request.params.id, defined(request.body)),
      ),
  );
  app.delete(
    '/v1/tasks/:id',
    {
      schema: {
        tags: ['tasks'],
        summary: 'End a task',
        params: IdParams,
        response: { 200: TaskView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).endTask(callerOf(request, reply), request.params.id)),
  );
  readRoutes(app);
}

function readRoutes(app: App): void {
  app.get(
    '/v1/tasks',
    {
      schema: {
        tags: ['tasks'],
        summary: 'Simulated tasks',
        querystring: TasksQuery,
        response: { 200: TaskPage, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).tasks(pageRequest(request.query))),
  );
  app.get(
    '/v1/tasks/:id',
    {
      schema: {
        tags: ['tasks'],
        summary: 'One task',
        params: IdParams,
        response: { 200: TaskView, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).task(request.params.id)),
  );
}
