/** What a service holds and what its process takes: to be the same before and after what must change nothing. */
import { readdirSync, readFileSync } from 'node:fs';

/** A neighbour that came and went leaves a site as it was, at a later revision. */
const withoutCounts = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === 'revision' ? undefined : each)));

/** The kernel as clients see it, without what only counts. */
export async function kernelState(address: string): Promise<unknown> {
  const get = async (path: string): Promise<Record<string, unknown>> =>
    (await (await fetch(`${address}${path}`)).json()) as Record<string, unknown>;
  const { differing, orphans, expectedDiffering } = await get('/v1/audit');
  const lists = ['attachments', 'sessions', 'programs', 'maps', 'modules', 'tasks', 'explorations', 'sites'];
  const items = await Promise.all(lists.map(async (list) => [list, (await get(`/v1/${list}`))['items']]));
  const ftrace = await get('/v1/sysctl/kernel.ftrace_enabled');
  return withoutCounts({ differing, orphans, expectedDiffering, items, ftrace });
}

export interface ProcessUse {
  readonly rssMb: number;
  readonly handles: number;
}

export function processUse(pid: number): ProcessUse {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    rssMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024,
    handles: readdirSync(`/proc/${pid}/fd`).length,
  };
}
