/** From the registry's facts to what goes over the wire. */
import { formatAddress, type ReadableText, toAddress, toHex } from '../base/index.ts';
import {
  type Attachment,
  livepatchFacts,
  type OpCost,
  obstacleText,
  originalBytes,
  siteFacts,
  type Txn,
  type World,
} from '../registry/index.ts';
import type { PokeRecord } from '../textpoke/index.ts';
import type { AttachmentView, CostAnswer, PokeView, SiteAnswer, SiteOwner, SiteView } from './service.ts';
import type { LivepatchView } from './service-tasks.ts';

/** Answers about more sites than this carry `siteCount` and no list, unless asked. */
export const SITES_SHOWN = 1_000;

export const wireAddress = (world: World, offset: number): string => formatAddress(toAddress(world.image.base, offset));

export const costAnswer = (cost: OpCost, textMutexHeldUs = 0): CostAnswer => ({
  pokes: cost.pokes,
  batches: cost.batches,
  syncRounds: cost.syncRounds,
  textMutexHeldUs,
});

/** The longest site: a call, a jump. */
const SITE_BYTES = 5;

/** So many bytes of text at a place, hex. */
export type HexText = (at: number, length: number) => string;

export const hexText =
  (text: Pick<ReadableText, 'bytes'>): HexText =>
  (at, length) =>
    toHex(text.bytes(at, length));

/** Text that nobody has patched. */
const originalText = (view: Txn): HexText => hexText({ bytes: (at, length) => originalBytes(view, at, length) });

/** Bytes of text that a site here may have. */
export const siteBytes = (text: ReadableText, at: number): number => (text.contains(at, SITE_BYTES) ? SITE_BYTES : 1);

/** These sites as they are now, for an answer that is made when they have changed. */
export function keptText(text: ReadableText, sites: readonly number[]): HexText {
  const kept = new Map<number, string>();
  for (const at of sites) kept.set(at, toHex(text.bytes(at, siteBytes(text, at))));
  return (at, length) => kept.get(at)?.slice(0, 2 * length) ?? toHex(text.bytes(at, length));
}

/** `before`: text as it was. */
export function siteAnswers(
  view: Txn,
  sites: readonly number[],
  before: HexText,
  after: ReadableText,
): readonly SiteAnswer[] {
  return sites.map((at) => {
    const facts = siteFacts(view, at);
    return {
      address: wireAddress(view.world, at),
      place: view.place(at),
      before: before(at, facts.length),
      after: toHex(after.bytes(at, facts.length)),
      mechanism: facts.mechanism,
      chain: facts.chain,
      revision: facts.revision,
      budget: facts.budget,
    };
  });
}

export const areShown = (count: number, isAll: boolean): boolean => isAll || count <= SITES_SHOWN;

/** `sites` when there are few or all are asked for. */
export function shownSites<T>(
  count: number,
  isAll: boolean,
  make: () => readonly T[],
): { readonly sites?: readonly T[] } {
  return areShown(count, isAll) ? { sites: make() } : {};
}

function livepatchView(view: Txn, attachment: Attachment): LivepatchView {
  const { transition, functions, ...facts } = livepatchFacts(view, attachment);
  return {
    ...facts,
    transition:
      transition === undefined
        ? null
        : {
            ...transition,
            waitsFor: transition.waitsFor.map(({ task, obstacle }) => ({
              task: task.id,
              name: task.name,
              errno: obstacle.errno,
              why: obstacleText(view, obstacle),
            })),
          },
    functions: functions.map(({ func, replacement, isOnTop }) => ({
      function: view.place(func),
      replacement: replacement === undefined ? null : wireAddress(view.world, replacement),
      onTop: isOnTop,
    })),
  };
}

/** What the registry knows of an attachment. */
type RegistryView = Omit<AttachmentView, 'session' | 'pinned' | 'counters'>;

export function attachmentView(view: Txn, attachment: Attachment, isAll: boolean): RegistryView {
  const { sites } = attachment;
  return {
    id: attachment.id,
    kind: attachment.kind,
    client: attachment.client,
    since: new Date(attachment.sinceMs).toISOString(),
    target: attachment.target,
    options: attachment.options,
    enabled: attachment.isEnabled,
    siteCount: sites.length,
    ...shownSites(sites.length, isAll, () => siteAnswers(view, sites, originalText(view), view.text)),
    sequence: attachment.sequence,
    ...(attachment.kind === 'livepatch' ? { livepatch: livepatchView(view, attachment) } : {}),
  };
}

export function siteOwners(view: Txn, owners: readonly string[]): readonly SiteOwner[] {
  return owners.flatMap((id, order) => {
    const attachment = view.attachments.get(id);
    return attachment === undefined
      ? []
      : [{ attachment: id, kind: attachment.kind, client: attachment.client, order }];
  });
}

export function siteView(view: Txn, at: number): SiteView {
  const facts = siteFacts(view, at);
  return {
    address: wireAddress(view.world, at),
    symbol: view.place(at),
    kind: facts.kind,
    original: toHex(originalBytes(view, at, facts.length)),
    current: toHex(view.text.bytes(at, facts.length)),
    revision: facts.revision,
    owners: siteOwners(view, facts.owners),
    quarantined: facts.isQuarantined,
    budget: facts.budget,
  };
}

export const pokeView = (world: World, record: PokeRecord): PokeView => ({
  sequence: record.sequence,
  time: new Date(record.timeMs).toISOString(),
  address: wireAddress(world, record.at),
  attachment: record.by.attachment ?? null,
  client: record.by.client,
  reason: record.by.reason,
  before: record.before,
  after: record.after,
});
