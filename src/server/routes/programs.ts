import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { Result } from '../../base/index.ts';
import type { ObjectAnswer } from '../../coordinator/index.ts';
import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import {
  LoadProgramQuery,
  ProgramBody,
  ProgramList,
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
  loadRoute(app);
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

/** Either is checked by the schema of its type of content; what is a file has none. */
const LOAD_BODY = {
  content: {
    'application/json': { schema: ProgramBody },
    'application/octet-stream': {
      schema: Type.Unsafe<Buffer>({ description: 'An ELF object that clang compiled for BPF', format: 'binary' }),
    },
  },
} as const;

async function load(
  request: FastifyRequest,
  reply: FastifyReply,
  query: Static<typeof LoadProgramQuery>,
): Promise<Result<ObjectAnswer>> {
  const coordinator = coordinatorOf(request.server as App);
  const caller = callerOf(request, reply);
  const body: unknown = request.body;
  if (Buffer.isBuffer(body)) {
    const bytes = new Uint8Array(body.buffer, body.byteOffset, body.length).slice();
    return coordinator.loadObject(caller, { bytes, ...defined(query) });
  }
  // The schema has been checked: the body is not one thing for the types, because it is two for the schema.
  const { functions, sleepable, ...program } = body as Static<typeof ProgramBody>;
  const loaded = {
    ...program,
    isSleepable: sleepable === true ? true : undefined,
    bytecode: program.bytecode.toLowerCase(),
    functions: functions?.map((each) => ({ name: each.name, args: each.args, isGlobal: each.static !== true })),
  };
  return coordinator.loadProgram(caller, defined(loaded));
}

function loadRoute(app: App): void {
  app.post(
    '/v1/programs',
    {
      bodyLimit: PROGRAM_BODY_BYTES,
      config: { body: 'json-or-octets' },
      schema: {
        tags: ['programs'],
        summary:
          'Load a BPF program, as bytecode or out of an ELF object: it is read, compiled and, unless its type is raw, put into the arena',
        querystring: LoadProgramQuery,
        body: LOAD_BODY,
        response: { 201: Type.Union([ProgramView, ProgramList]), ...problemResponses },
      },
    },
    async (request, reply) => {
      const made = await load(request, reply, request.query);
      if (!made.ok) return sendFault(reply, made.fault);
      if ('id' in made.value) reply.header('location', `/v1/programs/${made.value.id}`);
      return sendValue(reply, made.value, 201);
    },
  );
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
