import { ok, type Result } from '../base/index.ts';
import { type Attachment, ownedBytes, siteFacts, type Txn } from '../registry/index.ts';
import { siteOf } from './places.ts';

/** Sites whose text is not pristine, or that are quarantined, ascending by address. Generated code is no site. */
export function patchedSites(view: Txn, state: 'patched' | 'quarantined' | undefined): readonly number[] {
  const sites = new Set<number>(view.quarantined.keys());
  if (state === 'quarantined') return [...sites].sort((a, b) => a - b);
  for (const piece of ownedBytes(view)) if (view.world.pristine.contains(piece.at, 1)) sites.add(piece.at);
  if (state === undefined)
    for (const attachment of view.attachments.values()) for (const at of attachment.sites) sites.add(at);
  return [...sites].sort((a, b) => a - b);
}

/** Oldest first. */
export function queryAttachments(
  view: Txn,
  query: { readonly client?: string; readonly kind?: string; readonly place?: string },
): Result<readonly Attachment[]> {
  let owners: ReadonlySet<string> | undefined;
  if (query.place !== undefined) {
    const site = siteOf(view, query.place);
    if (!site.ok) return site;
    owners = new Set(siteFacts(view, site.value).owners);
  }
  return ok(
    [...view.attachments.values()]
      .filter((each) => query.client === undefined || each.client === query.client)
      .filter((each) => query.kind === undefined || each.kind === query.kind)
      .filter((each) => owners === undefined || owners.has(each.id))
      .sort((a, b) => a.sequence - b.sequence),
  );
}
