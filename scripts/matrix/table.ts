import { KERNEL_UNSETTLED } from '../../src/registry/index.ts';
import type { OwnerGroup } from './owners.ts';
import type { SetResult } from './run.ts';

/** They are elsewhere, or have the entry to themselves. */
const NOT_AT_ENTRY: ReadonlySet<OwnerGroup> = new Set(['body', 'breakpoint', 'static']);

/** In a cell: Linux leaves bytes behind when these two leave. */
const LEAK_MARK = ' †';
/** ftrace shut itself down, as Linux's does. */
const DEAD_MARK = ' ‡';

/** Linux returns 0, and what it granted never runs. */
const SILENT_MARK = ' §';

/** What a cell says; the errno of what no source settles is ours, so the cell says that instead. */
export const cellText = ({ last, isLeak, isSilent, isDead, problems }: SetResult): string => {
  const refusal = last.rule === KERNEL_UNSETTLED.id ? 'unknown' : last.verdict;
  const word = last.rule === undefined ? last.verdict : `**${refusal}**`;
  const marks = [isLeak ? LEAK_MARK : '', isSilent ? SILENT_MARK : '', isDead ? DEAD_MARK : ''].join('');
  return `${word}${marks}${problems.length > 0 ? ' ✗' : ''}`;
};

export const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Owners that this kernel cannot have at all, with the rule that says why: none of them was ever first. */
export function unavailable(pairs: readonly SetResult[]): ReadonlyMap<string, string> {
  const firsts = new Set(pairs.map(({ owners }) => owners[0]?.name));
  const found = new Map<string, string>();
  for (const { owners, last } of pairs) {
    const name = owners[1]?.name ?? '';
    if (!firsts.has(name) && last.rule !== undefined) found.set(name, last.rule);
  }
  return found;
}

/** One owner of each group that meets others at a function entry, as the README shows it. */
export function shortTable(pairs: readonly SetResult[]): string {
  const shown = new Map<OwnerGroup, string>();
  for (const { owners } of pairs)
    for (const { group, name } of owners) if (!NOT_AT_ENTRY.has(group) && !shown.has(group)) shown.set(group, name);
  const names = new Set(shown.values());
  return pairTable(pairs.filter(({ owners }) => owners.every(({ name }) => names.has(name))));
}

/** The verdict of the second (column) after the first (row), as Markdown. */
export function pairTable(pairs: readonly SetResult[]): string {
  const missing = unavailable(pairs);
  const names = [...new Set(pairs.map(({ owners }) => owners[1]?.name ?? ''))].filter((name) => !missing.has(name));
  const byPair = new Map(pairs.map((pair) => [pair.owners.map(({ name }) => name).join('|'), pair]));
  const lines = names.map((first) =>
    row([
      `**${first}**`,
      ...names.map((second) => {
        const pair = byPair.get(`${first}|${second}`);
        return pair === undefined ? '–' : cellText(pair);
      }),
    ]),
  );
  const table = [row(['first ↓ then →', ...names]), row(['---', ...names.map(() => '---')]), ...lines].join('\n');
  const notHere = [...missing].map(([name, rule]) => `${name} (\`${rule}\`)`);
  return notHere.length === 0 ? table : `${table}\n\nNot on this kernel: ${notHere.join(', ')}.`;
}

/** Every rule that refused, and how often. */
export function ruleTable(sets: readonly SetResult[]): string {
  const counts = new Map<string, { readonly errno: string; count: number }>();
  for (const { last } of sets) {
    if (last.rule === undefined) continue;
    const known = counts.get(last.rule) ?? { errno: last.verdict, count: 0 };
    known.count += 1;
    counts.set(last.rule, known);
  }
  const lines = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    row(['rule', 'errno', 'refusals']),
    row(['---', '---', '---:']),
    ...lines.map(([rule, { errno, count }]) => row([`[\`${rule}\`](rules/${rule}.md)`, errno, String(count)])),
  ].join('\n');
}

export function summary(sets: readonly SetResult[]): string {
  const granted = sets.filter(({ last }) => last.rule === undefined).length;
  const leaks = sets.filter(({ isLeak }) => isLeak).length;
  const leavings = sets.reduce((all, set) => all + set.leavings, 0);
  const problems = sets.reduce((all, set) => all + set.problems.length, 0);
  const marked = leaks === 0 ? '' : ` ${leaks} meet what Linux gets wrong (†).`;
  const dead = sets.filter(({ isDead }) => isDead).length;
  const killed = dead === 0 ? '' : ` In ${dead} ftrace shuts itself down (‡).`;
  const silences = sets.filter(({ isSilent }) => isSilent).length;
  const silent = silences === 0 ? '' : ` In ${silences} Linux says yes and the last never runs (§).`;
  return `${sets.length} ordered sets: the last is granted in ${granted} and refused in ${sets.length - granted}; ${leavings} orders of leaving, ${problems} problems.${marked}${silent}${killed}`;
}
