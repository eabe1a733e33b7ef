import type { Fault } from '../base/index.ts';
import { refuse } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';
import { QUOTA_ATTACHMENTS, QUOTA_SITES } from './rules.ts';
import type { Caller } from './service.ts';

/** Why a client may not attach any more. What it holds already is not touched. */
export function overQuota(kernel: Kernel, { client, tenant }: Caller): Fault | undefined {
  const { attachments: most, sites: mostSites } = kernel.quotas;
  if (most === undefined && mostSites === undefined) return undefined;
  let [count, sites] = [0, 0];
  for (const attachment of kernel.state.attachments.values()) {
    if (attachment.client !== client || attachment.tenant !== tenant) continue;
    count += 1;
    sites += attachment.sites.length;
  }
  if (most !== undefined && count >= most)
    return refuse(QUOTA_ATTACHMENTS, { detail: `${client} has ${count} attachments, and may have ${most}.` });
  if (mostSites !== undefined && sites >= mostSites)
    return refuse(QUOTA_SITES, {
      detail: `The attachments of ${client} are at ${sites} sites, and may be at ${mostSites}.`,
    });
  return undefined;
}
