/** Commands that only look: image, symbols, disasm, ls, site, audit, rules. */
import type { Answer, AttachmentView, BlameView, ImageView, RuleView, SymbolView } from '../../client/index.ts';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { siteText, table, textText } from '../output.ts';

interface PageOf<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/** Follows `nextCursor` until `limit` items are there. */
async function collect<T>(
  limit: number,
  fetchPage: (query: { readonly limit: number; readonly cursor?: string }) => Promise<Answer<PageOf<T>>>,
): Promise<Answer<readonly T[]>> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const query: { readonly limit: number } = { limit: Math.min(1000, limit - items.length) };
    const page: Answer<PageOf<T>> = await fetchPage(cursor === null ? query : { ...query, cursor });
    if (!page.ok) return page;
    items.push(...page.value.items);
    cursor = page.value.nextCursor;
  } while (cursor !== null && items.length < limit);
  return { ok: true, status: 200, value: items };
}

const imageText = (image: ImageView): string =>
  table([
    ['release', image.release],
    ['source', image.source],
    ['sha256', image.sha256],
    ['base', image.base],
    ['profile', image.profile],
    ['rules of', `${image.kernel}, ${image.strictness}`],
    ['loaded in', `${Math.round(image.loadMs)} ms${image.fromCache ? ', from the cache' : ''}`],
    ...Object.entries(image.counts).map(([name, count]) => [name, String(count)]),
  ]);

export const image = async ({ client, show }: Context): Promise<ExitCode> => show(await client.image(), imageText);

const ATTACHABLE = ['kprobe', 'ftrace', 'fentry', 'fmodRet', 'livepatch'] as const;

const symbolRow = (s: SymbolView): readonly string[] => [
  s.address,
  s.type,
  ATTACHABLE.filter((kind) => s.attachable[kind]).join(',') || '-',
  s.prototype ?? s.name,
];

export async function symbols(
  { client, show }: Context,
  glob: string | undefined,
  options: { readonly limit: number; readonly attachable?: string },
): Promise<ExitCode> {
  const query = {
    ...(glob === undefined ? {} : { match: glob }),
    ...(options.attachable === undefined ? {} : { attachable: options.attachable }),
  };
  const found = await collect(options.limit, (page) => client.symbols({ ...query, ...page }));
  return show(found, (items) => table(items.map(symbolRow)));
}

export const disasm = async ({ client, show }: Context, place: string, length: number): Promise<ExitCode> =>
  show(await client.text(place, length), textText);

const targetText = ({ target }: AttachmentView): string => {
  if (typeof target === 'string') return target;
  return 'pattern' in target ? target.pattern : `${target.length} places`;
};

const attachmentRow = (a: AttachmentView): readonly string[] => [
  a.id,
  a.kind,
  a.client,
  a.enabled ? 'enabled' : 'disabled',
  String(a.siteCount),
  String(a.counters.hits),
  String(Object.values(a.counters.misses).reduce((sum, count) => sum + count, 0)),
  a.since,
  targetText(a),
];

export async function ls(
  { client, show }: Context,
  query: { readonly kind?: string; readonly place?: string },
): Promise<ExitCode> {
  const found = await collect(Number.MAX_SAFE_INTEGER, (page) => client.attachments({ ...query, ...page }));
  const head = ['ID', 'KIND', 'CLIENT', 'STATE', 'SITES', 'HITS', 'MISSED', 'SINCE', 'TARGET'];
  return show(found, (items) => table([head, ...items.map(attachmentRow)]));
}

export const site = async ({ client, show }: Context, place: string): Promise<ExitCode> =>
  show(await client.site(place), siteText);

/** Refused (1) when a byte differs that nobody owns. */
export async function audit({ client, show }: Context): Promise<ExitCode> {
  return show(
    await client.audit(),
    (a) => {
      const orphans = a.orphans.map((o) => `  orphan ${o.address}: expected ${o.expected}, found ${o.actual}\n`);
      return `${a.bytesChecked} bytes checked, ${a.differing} differ, ${a.attributed} attributed, ${a.orphans.length} orphans\n${orphans.join('')}`;
    },
    (a) => (a.orphans.length === 0 ? 0 : 1),
  );
}

const ruleText = (r: RuleView): string => {
  const remedies = r.remedies.map((remedy) => `  try: ${remedy}\n`).join('');
  const linux = r.linux === '' ? '' : `  linux: ${r.linux}\n`;
  return `${r.id} (${r.errno}): ${r.title}\n  ${r.what}\n  ${r.why}\n${linux}  kernels ${r.range}, strictness ${r.strictness}\n${remedies}`;
};

export async function rules({ client, show }: Context, id: string | undefined): Promise<ExitCode> {
  if (id !== undefined) return show(await client.rule(id), ruleText);
  return show(await client.rules(), (list) => table(list.items.map((r) => [r.id, r.errno, r.title])));
}

function blameText({ runs, forgotten }: BlameView): string {
  const rows = runs.map(({ place, current, original, poke }) => [
    place,
    current,
    ...(poke === null
      ? ['', 'as booted']
      : [`hides ${original}`, `${poke.time} ${poke.client} ${poke.attachment ?? '-'} ${poke.reason}`]),
  ]);
  return `${table(rows)}${forgotten > 0 ? `${forgotten} older pokes are no longer remembered\n` : ''}`;
}

export const blame = async ({ client, show }: Context, place: string, length: number): Promise<ExitCode> =>
  show(await client.blame(place, length), blameText);
