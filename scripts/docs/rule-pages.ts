import { COORDINATOR_RULES, type RuleView, ruleView } from '../../src/coordinator/index.ts';
import { RULES } from '../../src/registry/index.ts';
import { EDGE_RULES } from '../../src/server/index.ts';

/** Every rule the service refuses by. */
export function allRules(): readonly RuleView[] {
  const rules = [...[...RULES.values(), ...COORDINATOR_RULES.values()].map(ruleView), ...EDGE_RULES];
  return rules.sort((a, b) => (a.id < b.id ? -1 : 1));
}

const STRICTNESS = {
  both: 'in both strictnesses',
  safe: 'only with `--strictness safe` (the default): Linux accepts it',
  linux: 'only with `--strictness linux`',
} as const;

/** For which kernels, and where that is known from. */
function versions({ facts = [] }: RuleView): string {
  const parts = facts.map(({ name, title, values }) =>
    [
      `\`${name}\`: ${title}`,
      [
        '| since | value | source |',
        '| --- | --- | --- |',
        ...values.map((v) => `| ${v.since} | ${v.value} | ${v.source} |`),
      ].join('\n'),
    ].join('\n\n'),
  );
  return parts.length === 0 ? '' : `\n## Kernel versions\n\n${parts.join('\n\n')}\n`;
}

function page(rule: RuleView): string {
  const remedies =
    rule.remedies.length === 0 ? '' : `\n## What to do\n\n${rule.remedies.map((each) => `- ${each}`).join('\n')}\n`;
  return `# ${rule.title}

\`${rule.id}\` · ${rule.errno} · kernels: ${rule.range} · refused ${STRICTNESS[rule.strictness]}

${rule.what}

## Why

${rule.why}

## Who decides in Linux

${rule.linux}
${remedies}${versions(rule)}`;
}

function index(rules: readonly RuleView[]): string {
  const rows = rules.map((rule) => `| [\`${rule.id}\`](${rule.id}.md) | ${rule.errno} | ${rule.title} |`);
  return `# Rules

Every refusal names the rule it rests on. Generated from the code by \`npm run docs\`; a running service answers with the same texts at
\`/v1/rules\` and \`/v1/rules/{id}\`.

| rule | errno | |
| --- | --- | --- |
${rows.join('\n')}
`;
}

export function rulePages(): readonly (readonly [string, string])[] {
  const rules = allRules();
  return [
    ['docs/rules/README.md', index(rules)] as const,
    ...rules.map((rule) => [`docs/rules/${rule.id}.md`, page(rule)] as const),
  ];
}
