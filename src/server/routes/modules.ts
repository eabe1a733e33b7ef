import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import { ModuleAnswer, ModuleDetails, ModulePage, UnloadAnswer } from '../schemas/modules.ts';
import { LoadModuleQuery, ModuleStateBody, NameParams, PageQuery } from '../schemas/requests.ts';
import { callerOf, coordinatorOf, pageRequest, problemResponses } from './support.ts';

/** Objects, as the contract has it. */
const FILE_BYTES = 16 << 20;

export function moduleRoutes(app: App): void {
  loadRoute(app);
  readRoutes(app);
  changeRoutes(app);
}

function loadRoute(app: App): void {
  app.post(
    '/v1/modules',
    {
      bodyLimit: FILE_BYTES,
      config: { access: 'admin', body: 'octets' },
      schema: {
        tags: ['modules'],
        summary: 'Loads a .ko (also .ko.xz and .ko.gz), which is the body',
        consumes: ['application/octet-stream'],
        querystring: LoadModuleQuery,
        response: { 201: ModuleAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const body: unknown = request.body;
      if (!Buffer.isBuffer(body) || body.length === 0)
        return sendFault(reply, edgeFault('http.schema', 'The body is empty; it has to be the module’s file.'));
      const file = new Uint8Array(body.buffer, body.byteOffset, body.length).slice();
      const until = request.query.until ?? 'live';
      const loaded = await coordinatorOf(app).loadModule(callerOf(request, reply), file, until);
      if (!loaded.ok) return sendFault(reply, loaded.fault);
      reply.header('location', `/v1/modules/${encodeURIComponent(loaded.value.name)}`);
      return sendValue(reply, loaded.value, 201);
    },
  );
}

function readRoutes(app: App): void {
  app.get(
    '/v1/modules',
    {
      schema: {
        tags: ['modules'],
        summary: 'Modules that are loaded, newest first',
        querystring: PageQuery,
        response: { 200: ModulePage, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).modules(pageRequest(request.query))),
  );

  app.get(
    '/v1/modules/:name',
    {
      schema: {
        tags: ['modules'],
        summary: 'One module: sections, sites, who holds it',
        params: NameParams,
        response: { 200: ModuleDetails, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).module(request.params.name)),
  );
}

function changeRoutes(app: App): void {
  app.patch(
    '/v1/modules/:name',
    {
      config: { access: 'admin' },
      schema: {
        tags: ['modules'],
        summary: 'A step of its life: live once its init function has returned, going once its exit function has',
        params: NameParams,
        body: ModuleStateBody,
        response: { 200: ModuleAnswer, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(
        reply,
        await coordinatorOf(app).setModuleState(callerOf(request, reply), request.params.name, request.body.state),
      ),
  );

  app.delete(
    '/v1/modules/:name',
    {
      config: { access: 'admin' },
      schema: {
        tags: ['modules'],
        summary: 'Unloads; refused while somebody holds it',
        params: NameParams,
        response: { 200: UnloadAnswer, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).unloadModule(callerOf(request, reply), request.params.name)),
  );
}
