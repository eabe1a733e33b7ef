import type { EventQuery } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { eventText, problemText } from '../output.ts';

/** Prints events until `count` have come or the stream ends; a stream that ends by itself means that the service went away (3). */
export async function events({ client, io, isJson }: Context, query: EventQuery, count: number): Promise<ExitCode> {
  const answer = await client.events(query);
  if (!answer.ok) {
    io.err(problemText(answer.problem));
    return 1;
  }
  let seen = 0;
  for await (const event of answer.value) {
    const { sequence = '-', time = '' } = event.data;
    if (isJson) io.out(`${JSON.stringify({ type: event.type, ...event.data })}\n`);
    else io.out(`${sequence} ${time} ${event.type} ${eventText(event.data)}\n`);
    if (event.type === 'error') return 3;
    if (++seen === count) return 0;
  }
  io.err('ktextd: the service ended the stream\n');
  return 3;
}
