/** What came of a plan or an attach: the change, or the refusal explained. */
import { el } from './dom.js';

/** `words` in backquotes are code. */
const prose = (text) => text.split('`').map((part, i) => (i % 2 === 1 ? el('code', {}, part) : part));

const pair = (name, ...value) => [el('dt', {}, name), el('dd', {}, ...value)];

const change = (site) =>
  el('p', { class: 'change' }, `${site.place}  ${site.before} → `, el('b', {}, site.after), `  ${site.mechanism}, chain of ${site.chain.length}`);

export function refusal(problem) {
  const facts = [...pair('rule', el('a', { href: problem.type, target: '_blank' }, problem.rule))];
  for (const holder of problem.holders) {
    facts.push(...pair('held by', `${holder.kind} of ${holder.client}, since ${new Date(holder.since).toLocaleString('en-GB')} (${holder.attachment})`));
  }
  if (problem.linux) facts.push(...pair('Linux', problem.linux));
  if (problem.expected) facts.push(...pair('expected', el('code', {}, problem.expected)), ...pair('found', el('code', {}, problem.actual ?? '')));
  for (const remedy of problem.remedies) facts.push(...pair('way out', ...prose(remedy)));
  return el(
    'div',
    { class: 'card bad' },
    el('h3', {}, el('span', { class: 'badge' }, problem.errno), problem.title),
    el('p', {}, ...prose(problem.detail)),
    el('dl', {}, ...facts),
  );
}

const costText = (cost) => `${cost.pokes} pokes in ${cost.batches} batches, ${cost.syncRounds} sync rounds`;

export function attached(answer) {
  const sites = answer.sites ?? [];
  const more = answer.siteCount > 6 ? el('p', {}, `and ${answer.siteCount - 6} more sites`) : null;
  return el(
    'div',
    { class: 'card good' },
    el('h3', {}, el('span', { class: 'badge' }, answer.verdict), `${answer.kind} · ${answer.siteCount} site${answer.siteCount === 1 ? '' : 's'}`),
    ...sites.slice(0, 6).map(change),
    more,
    el('p', { class: 'note' }, `${costText(answer.cost)}, text_mutex held ${answer.cost.textMutexHeldUs} µs`),
    ...answer.warnings.map((w) => el('p', {}, `Warning: ${w}`)),
  );
}

export function planned(plan) {
  const [step] = plan.steps;
  if (step.problem) return refusal(step.problem);
  return el(
    'div',
    { class: `card ${plan.wouldSucceed ? 'good' : 'bad'}` },
    el('h3', {}, el('span', { class: 'badge' }, `would be ${step.verdict}`), `rules of ${plan.kernel}, ${plan.strictness}`),
    ...step.sites.slice(0, 6).map(change),
    el('p', { class: 'note' }, `${costText(step.cost)}; nothing was changed`),
  );
}
