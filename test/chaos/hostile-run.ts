/** Thousands of hostile requests, sockets that never finish theirs, and a client that goes on working beside them. */
import assert from 'node:assert/strict';
import { type ApiDocument, hostileRequest } from './hostile-requests.ts';
import { Neighbour, quantile } from './neighbour.ts';
import { kernelState, processUse } from './process-state.ts';
import { openSocket, sendRaw } from './raw-socket.ts';
import type { ServiceProcess } from './service-process.ts';

export interface HostileTotals {
  readonly requests: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly idleP99Ms: number;
  readonly besideP99Ms: number;
  readonly rssGrownMb: number;
  readonly handlesGrown: number;
}

const AT_ONCE = 16;
const LORIS = 64;
const GOOD_REQUESTS = 200;

/** Sockets that send a request a byte at a time and never end it. */
function dribble(address: string): { stop(): void } {
  const sockets = Array.from({ length: LORIS }, () => openSocket(address));
  const text = 'POST /v1/attachments HTTP/1.1\r\nhost: localhost\r\nx-slow: ';
  let at = 0;
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(text[at] ?? 'z');
    at += 1;
  }, 50);
  return {
    stop() {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
}

const settled = async (service: ServiceProcess, handles: number): Promise<number> => {
  for (let turn = 0; turn < 50; turn++) {
    if (processUse(service.pid).handles <= handles) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return processUse(service.pid).handles - handles;
};

export async function hostileRun(
  service: ServiceProcess,
  options: { readonly seed: number; readonly requests: number; readonly onProgress?: (done: number) => void },
): Promise<HostileTotals> {
  const { address, pid } = service;
  const { seed, requests } = options;
  const document = (await (await fetch(`${address}/openapi.json`)).json()) as ApiDocument;
  const idle = new Neighbour(address);
  await idle.times(GOOD_REQUESTS);
  const before = await kernelState(address);
  const use = processUse(pid);
  const byStatus: Record<string, number> = {};
  let next = 0;
  const attacker = async (): Promise<void> => {
    while (next < requests) {
      const index = next++;
      const { what, bytes, isAll } = hostileRequest(document, new URL(address).host, seed, index);
      const replay = `replay: seed ${seed}, request ${index}: ${what}`;
      const { status, head } = await sendRaw(address, bytes, isAll).catch((error: Error) =>
        assert.fail(`${replay}\n${error.message}`),
      );
      assert.ok(status === undefined || status < 500, `${replay}\n${head}`);
      byStatus[status ?? 'closed'] = (byStatus[status ?? 'closed'] ?? 0) + 1;
      options.onProgress?.(index + 1);
    }
  };
  const slow = dribble(address);
  const beside = new Neighbour(address, 'beside');
  const working = beside.run();
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, attacker));
  } finally {
    beside.stop();
    slow.stop();
  }
  await working;
  assert.deepEqual(await kernelState(address), before, 'hostile requests changed the kernel');
  return {
    requests,
    byStatus,
    idleP99Ms: quantile(idle.latenciesMs, 0.99),
    besideP99Ms: quantile(beside.latenciesMs, 0.99),
    handlesGrown: await settled(service, use.handles),
    rssGrownMb: processUse(pid).rssMb - use.rssMb,
  };
}
