/** Who keeps a module from being unloaded. Source: kernel/module/main.c delete_module, try_stop_module (6.12; 6.1 alike). */
import type { Fault } from '../../base/index.ts';
import { inModule } from '../../image/index.ts';
import { allLinks } from '../bpf/trampoline.ts';
import type { LoadedModule } from '../model/loaded-module.ts';
import { MODULE_IN_USE, MODULE_NOT_LIVE, MODULE_PERMANENT } from '../rules/module.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';

/** Attachments that may call into the module, or be called by it: what holds a reference in Linux. */
export function moduleHolders(txn: Txn, { image }: LoadedModule): readonly string[] {
  const isIn = (offset: number | null): boolean => offset !== null && inModule(image, offset);
  const holders = new Set<string>();
  for (const [func, trampoline] of txn.trampolines)
    if (isIn(func)) for (const link of allLinks(trampoline)) holders.add(link.attachment);
  for (const { stack } of txn.livepatches.values())
    for (const { at, attachment } of stack) if (isIn(at)) holders.add(attachment);
  for (const [key, users] of txn.staticKeys)
    for (const user of users) if (user.kind === 'attachment' && isIn(key)) holders.add(user.attachment);
  for (const [key, users] of txn.staticCalls)
    for (const user of users)
      if (user.kind === 'attachment' && (isIn(key) || isIn(user.to))) holders.add(user.attachment);
  for (const [at, { probes }] of txn.tracepoints)
    for (const probe of probes) if (isIn(at) || isIn(probe.func)) holders.add(probe.attachment);
  return [...holders];
}

/** Loaded modules that use symbols of this one (source_list). */
export const dependents = (txn: Txn, name: string): readonly string[] =>
  txn.modules.filter(({ image }) => image.uses.includes(name)).map((module) => module.name);

/** Why the module stays; undefined when it may go. In the order in which Linux asks. */
export function keptBy(txn: Txn, module: LoadedModule): Fault | undefined {
  const { name } = module;
  const users = dependents(txn, name);
  if (users.length > 0)
    return refuse(MODULE_IN_USE, { detail: `${name} is used by ${users.join(', ')}.`, place: name, holders: [] });
  if (module.state !== 'live')
    return refuse(MODULE_NOT_LIVE, { detail: `${name} is ${module.state}.`, place: name, holders: [] });
  if (!module.image.canUnload)
    return refuse(MODULE_PERMANENT, { detail: `${name} has no exit function.`, place: name, holders: [] });
  const holders = moduleHolders(txn, module);
  return holders.length === 0
    ? undefined
    : refuse(MODULE_IN_USE, {
        detail: `${name} is in use by ${holders.length} attachment${holders.length === 1 ? '' : 's'}.`,
        place: name,
        holders: txn.holders(holders),
      });
}
