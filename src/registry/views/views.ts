import { err, type Result } from '../../base/index.ts';
import { refuse } from '../rules/rule.ts';
import { VIEW_UNKNOWN } from '../rules/sysctl.ts';
import type { Txn } from '../txn.ts';
import { availableFilterFunctions, enabledFunctions, touchedFunctions } from './ftrace-views.ts';
import { kprobesBlacklist, kprobesList } from './kprobe-views.ts';

/** The kernel's own listings, by their path below /sys/kernel. */
const VIEWS: Readonly<Record<string, (txn: Txn) => Result<string>>> = {
  'tracing/enabled_functions': enabledFunctions,
  'tracing/touched_functions': touchedFunctions,
  'tracing/available_filter_functions': availableFilterFunctions,
  'debug/kprobes/list': kprobesList,
  'debug/kprobes/blacklist': kprobesBlacklist,
};

export const VIEW_NAMES: readonly string[] = Object.keys(VIEWS);

/** What `cat /sys/kernel/NAME` prints, or why there is no such file. */
export function kernelView(txn: Txn, name: string): Result<string> {
  const view = Object.hasOwn(VIEWS, name) ? VIEWS[name] : undefined;
  return view === undefined ? err(refuse(VIEW_UNKNOWN, { detail: `There is no ${name}.` })) : view(txn);
}
