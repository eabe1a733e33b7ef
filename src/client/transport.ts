/** One HTTP request over TCP or a unix socket. Built on node:http because fetch does not reach unix sockets. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** The service did not answer as ktextd: it is not there, went away, or something else listens there. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
}

/** The address of a service is not one: `http://HOST:PORT`, `https://…`, `HOST:PORT` or `unix:PATH`. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
}

export interface Endpoint {
  readonly socketPath?: string;
  readonly url: URL;
}

export function parseEndpoint(server: string): Endpoint {
  if (server.startsWith('unix:')) return { socketPath: server.slice(5), url: new URL('http://localhost') };
  const text = /^https?:\/\//.test(server) ? server : `http://${server}`;
  if (!URL.canParse(text))
    throw new AddressError(`${JSON.stringify(server)} is neither http://HOST:PORT nor unix:PATH`);
  return { url: new URL(text) };
}

export interface TransportRequest {
  readonly method: string;
  /** With query, percent-encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

/** Sends; resolves with the response's head. Throws {@link UnreachableError}. */
export function open(endpoint: Endpoint, sent: TransportRequest): Promise<IncomingMessage> {
  const { socketPath, url } = endpoint;
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const options = {
    method: sent.method,
    headers: { ...sent.headers },
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(sent.signal === undefined ? {} : { signal: sent.signal }),
  };
  return new Promise((resolve, reject) => {
    const client = send(new URL(url.pathname.replace(/\/$/, '') + sent.path, url), options, resolve);
    client.on('error', (error: NodeJS.ErrnoException) => {
      if (error.name === 'AbortError') reject(error);
      else reject(new UnreachableError(`${socketPath ?? url.host} does not answer: ${error.code ?? error.message}`));
    });
    client.end(sent.body);
  });
}

/** The whole body as text. Throws {@link UnreachableError} when the connection breaks. */
export async function readText(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  try {
    for await (const chunk of response) text += chunk;
  } catch (error) {
    throw new UnreachableError(`the answer broke off: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  return text;
}
