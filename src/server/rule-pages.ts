import type { RuleView } from '../coordinator/index.ts';

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} · ktextd</title><link rel="stylesheet" href="/style.css"></head>
<body class="document"><main>${body}</main></body></html>
`;

const cell = (text: string): string => `<td>${escapeHtml(text)}</td>`;

/** For which kernels, and where that is known from. */
function factTables({ facts = [] }: RuleView): string {
  const tables = facts.map(({ name, title, values }) => {
    const rows = values.map(({ since, value, source }) => `<tr>${cell(`${since}+`)}${cell(value)}${cell(source)}</tr>`);
    return `<p><code>${escapeHtml(name)}</code>: ${escapeHtml(title)}</p>
<table><thead><tr><th>since</th><th>value</th><th>source</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
  });
  return tables.length === 0 ? '' : `<h2>Kernel versions</h2>${tables.join('\n')}`;
}

const paragraph = (heading: string, text: string): string =>
  text === '' ? '' : `<h2>${heading}</h2><p>${escapeHtml(text)}</p>`;

export function rulePage(rule: RuleView): string {
  const remedies = rule.remedies.map((r) => `<li>${escapeHtml(r)}</li>`).join('');
  const facts = [`errno <b>${rule.errno}</b>`, `kernels ${escapeHtml(rule.range)}`, `strictness ${rule.strictness}`];
  return page(
    rule.id,
    `<p><a href="/v1/rules">All rules</a></p>
<h1>${escapeHtml(rule.title)}</h1>
<p class="facts"><code>${escapeHtml(rule.id)}</code> · ${facts.join(' · ')}</p>
${paragraph('What', rule.what)}${paragraph('Why', rule.why)}${paragraph('Where Linux decides', rule.linux)}
${remedies === '' ? '' : `<h2>Ways out</h2><ul>${remedies}</ul>`}${factTables(rule)}`,
  );
}

export function ruleListPage(rules: readonly RuleView[]): string {
  const rows = rules.map(
    (r) =>
      `<tr><td><a href="/v1/rules/${encodeURIComponent(r.id)}"><code>${escapeHtml(r.id)}</code></a></td><td>${r.errno}</td><td>${escapeHtml(r.title)}</td></tr>`,
  );
  return page(
    'Rules',
    `<p><a href="/">ktextd</a></p><h1>Rules</h1><p>Every refusal names one of these.</p>
<table><thead><tr><th>Rule</th><th>errno</th><th>Title</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`,
  );
}
