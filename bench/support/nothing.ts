/** A service that validates the body of an attach as ours does and does nothing: what HTTP alone costs. Prints its address. */
import fastify from 'fastify';

const BODY = {
  type: 'object',
  required: ['kind', 'target'],
  additionalProperties: false,
  properties: { kind: { type: 'string' }, target: { type: 'string' }, options: { type: 'object' } },
};

const app = fastify();
app.post('/v1/attachments', { schema: { body: BODY } }, async (_request, reply) =>
  reply.code(201).send({ id: 'att_none' }),
);
app.delete('/v1/attachments/:id', async () => ({ id: 'att_none' }));
process.stdout.write(`listening on ${await app.listen({ host: '127.0.0.1', port: 0 })}\n`);
