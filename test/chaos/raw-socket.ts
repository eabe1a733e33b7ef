/** Bytes to a server as they are, and the status that came back. */
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  /** Undefined: the connection was closed without an answer. */
  readonly status: number | undefined;
  readonly head: string;
}

const ANSWER_MS_MAX = 30_000;

const endpointOf = (address: string): { readonly host: string; readonly port: number } => {
  const { hostname, port } = new URL(address);
  return { host: hostname, port: Number(port) };
};

export const openSocket = (address: string): Socket => connect(endpointOf(address)).on('error', () => undefined);

/** `isAll`: the sending side is closed behind them. Rejects when nothing comes back for so long that the service must have hung. */
export function sendRaw(address: string, bytes: Uint8Array, isAll = false): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = openSocket(address);
    let head = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer within ${ANSWER_MS_MAX} ms`));
    }, ANSWER_MS_MAX);
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(head) ?? [];
      resolve({ status: status === undefined ? undefined : Number(status), head });
    };
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      head += text;
      // The head is enough, and a stream of events has no end.
      if (head.includes('\r\n\r\n')) finish();
    });
    socket.on('close', finish);
    if (isAll) socket.end(bytes);
    else socket.write(bytes);
  });
}
