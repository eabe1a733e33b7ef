export { typesAreCompatible } from './compatible.ts';
export { CoreBudget, CoreProblem } from './core-fault.ts';
export { essentialName } from './names.ts';
export { POISON_HELPER, patchCore } from './patch.ts';
export { CORE_KINDS, type CoreKind } from './relocation-kind.ts';
export { type CoreContext, resolveCore } from './resolve.ts';
export type { CoreResult } from './values.ts';
