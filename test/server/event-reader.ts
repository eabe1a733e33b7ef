import { type ClientRequest, type IncomingMessage, request } from 'node:http';

export interface SseEvent {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

export interface SseReader {
  readonly response: IncomingMessage;
  readonly request: ClientRequest;
  readonly events: SseEvent[];
  /** Resolves when the stream has ended. */
  readonly ended: Promise<void>;
  /** Resolves when `count` events are there. */
  until(count: number): Promise<readonly SseEvent[]>;
}

function parseBlock(block: string): SseEvent | undefined {
  const lines = block.split('\n');
  const field = (name: string) => lines.find((l) => l.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field('data');
  if (data === undefined) return undefined;
  return { id: field('id'), event: field('event') ?? 'message', data: JSON.parse(data) as Record<string, unknown> };
}

/** Opens an event stream over a real socket. */
export async function readEvents(url: string, headers: Record<string, string> = {}): Promise<SseReader> {
  const client = request(url, { headers, agent: false });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    client.on('response', resolve);
    client.on('error', reject);
    client.end();
  });
  const events: SseEvent[] = [];
  const waiting: (() => void)[] = [];
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = parseBlock(text.slice(0, end));
      text = text.slice(end + 2);
      if (event !== undefined) events.push(event);
    }
    for (const wake of waiting.splice(0)) wake();
  });
  const ended = new Promise<void>((resolve) => {
    response.on('close', () => {
      for (const wake of waiting.splice(0)) wake();
      resolve();
    });
  });
  return {
    response,
    request: client,
    events,
    ended,
    async until(count) {
      while (events.length < count) {
        if (response.closed) throw new Error(`the stream ended after ${events.length} of ${count} events`);
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      return events;
    },
  };
}
