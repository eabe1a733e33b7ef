/** Modules of the coordinator for tests of the edge: none is loaded and none can be. */
import { err, ok, type Result } from '../../src/base/index.ts';
import type { Caller, Coordinator } from '../../src/coordinator/index.ts';

type Modules = Pick<Coordinator, 'modules' | 'module' | 'loadModule' | 'setModuleState' | 'unloadModule'>;

const unknown = (name: string): Result<never> =>
  err({ errno: 'ENOENT', rule: 'module.unknown', detail: `${name} is not loaded.` });

export function fakeModules(callers: Caller[]): Modules {
  return {
    modules: () => ok({ items: [], nextCursor: null }),
    module: unknown,
    async loadModule(caller) {
      callers.push(caller);
      return err({ errno: 'ENOEXEC', rule: 'module.malformed', detail: 'not a module' });
    },
    async setModuleState(caller, name) {
      callers.push(caller);
      return unknown(name);
    },
    async unloadModule(caller, name) {
      callers.push(caller);
      return unknown(name);
    },
  };
}
