/** Faults of the coordinator for tests of the edge: enabled, or not. */
import { err, ok } from '../../src/base/index.ts';
import type { Caller, Coordinator, FaultView } from '../../src/coordinator/index.ts';

type Faults = Pick<
  Coordinator,
  'faultInjection' | 'injectFault' | 'faults' | 'removeFault' | 'faultTotals' | 'onFault'
>;

export function fakeFaults(callers: Caller[]): Faults {
  const faults = new Map<string, FaultView>();
  return {
    faultInjection: () => true,
    injectFault(caller, { name, ...options }) {
      callers.push(caller);
      if (name !== 'dropped-ipi') return err({ errno: 'EINVAL' as const, rule: 'fault.name', detail: `${name}?` });
      const since = '2026-01-01T00:00:00.000Z';
      const id = `flt_${faults.size + 1}`;
      const view: FaultView = { id, name, options, client: caller.client, since, seen: 0, fired: 0, remaining: 1 };
      faults.set(id, view);
      return ok(view);
    },
    faults: () => ok({ items: [...faults.values()], nextCursor: null }),
    removeFault(id) {
      const found = faults.get(id);
      faults.delete(id);
      return found === undefined
        ? err({ errno: 'ENOENT' as const, rule: 'fault.unknown', detail: `${id} is not a fault.` })
        : ok(found);
    },
    faultTotals: () => ({ 'dropped-ipi': 3 }),
    onFault: () => () => undefined,
  };
}
