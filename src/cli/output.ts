/** How answers look to a person. With --json the answer itself is printed instead. */
import type { AttachAnswer, DetachAnswer, PlanAnswer, Problem, SiteView, TextView } from '../client/index.ts';

type Row = readonly string[];

/** Columns aligned by spaces; the last one is left as it is. */
export function table(rows: readonly Row[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((r) => r[i]?.length ?? 0))) ?? [];
  return rows
    .map((r) => `${r.map((cell, i) => (i === r.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  ')}\n`)
    .join('');
}

/** The errno first, then why, who holds the site, and ways out. */
export function problemText(problem: Problem): string {
  const lines = [`${problem.errno}: ${problem.detail}`, `  rule      ${problem.rule}: ${problem.title}`];
  if (problem.place !== null) lines.push(`  place     ${problem.place}`);
  if (problem.linux !== null && problem.linux !== '') lines.push(`  linux     ${problem.linux}`);
  for (const h of problem.holders)
    lines.push(`  held by   ${h.attachment} (${h.kind}) of ${h.client} since ${h.since}`);
  if (problem.index !== null) lines.push(`  element   ${problem.index}`);
  if (problem.expected !== null) lines.push(`  expected  ${problem.expected}`, `  actual    ${problem.actual ?? ''}`);
  for (const remedy of problem.remedies) lines.push(`  try       ${remedy}`);
  return `${lines.join('\n')}\n`;
}

const SITES_SHOWN_MAX = 10;

export function attachText(answer: AttachAnswer): string {
  const sites = answer.sites ?? [];
  const lines = sites
    .slice(0, SITES_SHOWN_MAX)
    .map(
      (s) =>
        `  ${s.place}  ${s.before} -> ${s.after}  ${s.mechanism}, chain ${s.chain.join(' ')}, revision ${s.revision}\n`,
    );
  const more = answer.siteCount > lines.length ? `  and ${answer.siteCount - lines.length} more sites\n` : '';
  const { cost } = answer;
  const head = `${answer.id} ${answer.kind} ${answer.verdict}, ${cost.pokes} pokes, text_mutex held ${cost.textMutexHeldUs} us\n`;
  return head + lines.join('') + more + answer.warnings.map((w) => `  warning: ${w}\n`).join('');
}

export function detachText(answer: DetachAnswer): string {
  const restored = answer.restored.slice(0, SITES_SHOWN_MAX).join(' ');
  const more = answer.restored.length > SITES_SHOWN_MAX ? ` and ${answer.restored.length - SITES_SHOWN_MAX} more` : '';
  const what = answer.restored.length === 0 ? 'others still own its sites' : `pristine again: ${restored}${more}`;
  return `${answer.id} detached; ${what}\n${answer.warnings.map((w) => `  warning: ${w}\n`).join('')}`;
}

/** What was found when an order was asked for. */
function solvedText({ order, conflict, search }: PlanAnswer): string {
  if (order !== undefined) return `order: ${order.join(', ')}\n`;
  if (conflict !== undefined) return `steps that no order grants together: ${conflict.steps.join(', ')}\n`;
  return search === undefined ? '' : `${search.note}\n`;
}

export function planText(plan: PlanAnswer): string {
  const steps = plan.steps.map((step) => {
    const head = `${step.index}  ${step.verdict}${step.errno === undefined ? '' : ` ${step.errno}`}`;
    const sites = step.sites
      .slice(0, SITES_SHOWN_MAX)
      .map((s) => `     ${s.place}  ${s.before} -> ${s.after}  ${s.mechanism}\n`);
    const why = step.problem === undefined ? '' : problemText(step.problem).replace(/^/gm, '   ').trimEnd();
    return `${head}\n${sites.join('')}${why === '' ? '' : `${why}\n`}`;
  });
  const end = plan.wouldSucceed ? 'would succeed' : 'would not succeed';
  return `${steps.join('')}${solvedText(plan)}${end} (rules of ${plan.kernel}, profile ${plan.profile}, ${plan.strictness})\n`;
}

export function siteText(site: SiteView): string {
  const state = site.quarantined ? 'QUARANTINED' : site.current === site.original ? 'pristine' : 'patched';
  const owners = site.owners.map((o) => `  ${o.order}  ${o.attachment} (${o.kind}) of ${o.client}\n`);
  const budget = Object.entries(site.budget).map(([name, left]) => `${name} ${left}`);
  const left = budget.length === 0 ? '' : `  left: ${budget.join(', ')}\n`;
  return `${site.address} ${site.symbol} (${site.kind}) ${state}, revision ${site.revision}\n  ${site.original} -> ${site.current}\n${owners.join('')}${left}`;
}

export function textText(text: TextView): string {
  const rows = text.instructions.map((i) => [
    i.address,
    i.bytes,
    i.target === null || i.target.startsWith('0x') ? i.text : `${i.text}  <${i.target}>`,
  ]);
  const owners = text.owners.map((o) => `  ${o.attachment} (${o.kind}) of ${o.client}\n`).join('');
  return `${text.symbol}:\n${table(rows)}${owners === '' ? '' : `owners:\n${owners}`}`;
}

/** `key=value` for each field of an event. */
export function eventText(data: Readonly<Record<string, unknown>>): string {
  const { sequence, time, ...rest } = data;
  const fields = Object.entries(rest).map(([k, v]) => `${k}=${typeof v === 'string' ? v : JSON.stringify(v)}`);
  return fields.join(' ');
}
