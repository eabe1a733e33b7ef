/**
 * A service that validates an attach as ours does and does nothing: what HTTP alone costs. The same schemas in and out, the same checks of headers, and
 * answers as long as ours. Prints its address. With a folder as its argument each request waits for a commit of one record there, as long as one of our
 * journal: what HTTP and the disk cost a client that is alone.
 */
import fastify from 'fastify';
import { openLmdbStore } from '../../src/journal/lmdb-store.ts';
import { recordKey } from '../../src/journal/store.ts';
import { AttachAnswer, DetachAnswer } from '../../src/server/schemas/answers.ts';
import { AttachBody, IdParams, SitesChoiceQuery } from '../../src/server/schemas/requests.ts';
import { VALIDATION } from '../../src/server/validation.ts';

const LABEL = /^[\x20-\x7e]{1,64}$/;
const JSON_TYPE = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?;?\s*$/i;

const SITE = {
  address: '0xffffffff81001a34',
  place: 'tcp_set_state+0x4',
  before: '0f1f440000',
  after: 'cc1f440000',
  mechanism: 'int3',
  chain: ['att_01h00000000000000000000000', 'att_01h00000000000000000000001'],
  revision: 17,
  budget: { ipmodify: 1, direct: 1, bpfPrograms: 38 },
};
const COST = { pokes: 1, batches: 1, syncRounds: 3, textMutexHeldUs: 41 };
const COMMON = { siteCount: 1, sites: [SITE], cost: COST, sequence: 1234, warnings: [] };
const ATTACHED = { id: 'att_none', kind: 'kprobe', client: 'client-1', verdict: 'chained', ...COMMON };
const DETACHED = { id: 'att_none', verdict: 'detached', restored: [SITE.address], ...COMMON };

/** What an attach of a kprobe leaves in the journal. */
const RECORD = Buffer.alloc(1_400, 0x20);
const [folder] = process.argv.slice(2);
const store = folder === undefined ? undefined : await openLmdbStore(folder);
let records = 0;

async function commit(): Promise<void> {
  records += 1;
  await store?.commit({ puts: [{ key: recordKey(records), value: RECORD }] });
}

const app = fastify({
  ajv: {
    customOptions: VALIDATION,
  },
});
app.addHook('onRequest', async (request, reply) => {
  reply.header('x-request-id', request.id);
  const { 'x-ktextd-client': label, 'content-type': type } = request.headers;
  if (typeof label !== 'string' || !LABEL.test(label)) return reply.code(400).send({});
  if (request.method === 'POST' && !JSON_TYPE.test(type ?? '')) return reply.code(415).send({});
  return undefined;
});
app.post(
  '/v1/attachments',
  { schema: { querystring: SitesChoiceQuery, body: AttachBody, response: { 201: AttachAnswer } } },
  async (_request, reply) => {
    if (store !== undefined) await commit();
    return reply.code(201).header('location', '/v1/attachments/att_none').send(ATTACHED);
  },
);
app.delete(
  '/v1/attachments/:id',
  { schema: { params: IdParams, querystring: SitesChoiceQuery, response: { 200: DetachAnswer } } },
  async () => {
    if (store !== undefined) await commit();
    return DETACHED;
  },
);
process.stdout.write(`listening on ${await app.listen({ host: '127.0.0.1', port: 0 })}\n`);
