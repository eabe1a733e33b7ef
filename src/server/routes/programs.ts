import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import {
  ProgramBody,
  ProgramListingView,
  ProgramPage,
  ProgramQuery,
  ProgramRunAnswer,
  ProgramRunBody,
  ProgramsQuery,
  ProgramView,
} from '../schemas/programs.ts';
import { IdParams } from '../schemas/requests.ts';
import { Type } from '../schemas/type.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

/** A program of a million instructions in hex. */
const PROGRAM_BODY_BYTES = 17 << 20;

export function programRoutes(app: App): void {
  app.post(
    '/v1/programs',
    {
      bodyLimit: PROGRAM_BODY_BYTES,
      schema: {
        tags: ['programs'],
        summary: 'Load a BPF program: it is read, compiled and, unless its type is raw, put into the arena',
        body: ProgramBody,
        response: { 201: ProgramView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { functions, ...rest } = request.body;
      const body = {
        ...rest,
        bytecode: rest.bytecode.toLowerCase(),
        functions: functions?.map((each) => ({ name: each.name, args: each.args, isGlobal: each.static !== true })),
      };
      const made = await coordinatorOf(app).loadProgram(callerOf(request, reply), defined(body));
      if (!made.ok) return sendFault(reply, made.fault);
      reply.header('location', `/v1/programs/${made.value.id}`);
      return sendValue(reply, made.value, 201);
    },
  );
  app.post(
    '/v1/programs/:id/runs',
    {
      schema: {
        tags: ['programs'],
        summary: 'Run a program by itself, like BPF_PROG_TEST_RUN, on a simulated CPU or in the interpreter',
        params: IdParams,
        body: ProgramRunBody,
        response: { 200: ProgramRunAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const caller = callerOf(request, reply);
      return sendResult(reply, await coordinatorOf(app).runProgram(caller, id, defined(request.body)));
    },
  );
  app.delete(
    '/v1/programs/:id',
    {
      schema: {
        tags: ['programs'],
        summary: 'Unload a program that no attachment runs',
        params: IdParams,
        response: { 200: ProgramView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).unloadProgram(callerOf(request, reply), request.params.id)),
  );
  readRoutes(app);
}

function readRoutes(app: App): void {
  app.get(
    '/v1/programs',
    {
      schema: {
        tags: ['programs'],
        summary: 'Loaded programs of the tenant',
        querystring: ProgramsQuery,
        response: { 200: ProgramPage, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, coordinatorOf(app).programs(callerOf(request, reply), pageRequest(request.query))),
  );
  app.get(
    '/v1/programs/:id',
    {
      schema: {
        tags: ['programs'],
        summary: 'One program; with `view`, its listing too',
        params: IdParams,
        querystring: ProgramQuery,
        response: { 200: Type.Union([ProgramView, ProgramListingView]), ...problemResponses },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { view } = request.query;
      const caller = callerOf(request, reply);
      const coordinator = coordinatorOf(app);
      if (view === undefined) return sendResult(reply, coordinator.program(caller, id));
      return sendResult(reply, coordinator.programListing(caller, id, view));
    },
  );
}
