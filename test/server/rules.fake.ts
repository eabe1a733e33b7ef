/** The rules that the fake coordinator knows. */
import type { RuleView } from '../../src/coordinator/index.ts';

export const RULES: readonly RuleView[] = [
  {
    id: 'ftrace.ipmodify.exclusive',
    title: 'One IPMODIFY user per function',
    errno: 'EBUSY',
    what: 'Two ops may not both change the instruction pointer at <one> function.',
    why: 'The second would undo the first.',
    linux: '__ftrace_hash_update_ipmodify, kernel/trace/ftrace.c',
    range: '4.0+',
    strictness: 'both',
    remedies: ['Detach the holder.'],
  },
];
