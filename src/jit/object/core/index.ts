export { CoreBudget, CoreProblem } from './core-fault.ts';
export { POISON_HELPER, patchCore } from './patch.ts';
export { CORE_KINDS, type CoreKind } from './relocation-kind.ts';
export { type CoreContext, resolveCore } from './resolve.ts';
export type { CoreResult } from './values.ts';
