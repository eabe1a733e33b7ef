import type { Errno } from '../../../base/index.ts';

/** Why a relocation cannot be computed; its place is added where that is known. Never leaves this folder. */
export class CoreProblem extends Error {
  override readonly name = 'CoreProblem';
  readonly errno: Errno;
  constructor(what: string, errno: Errno = 'EINVAL') {
    super(what);
    this.errno = errno;
  }
}

export function fail(what: string, errno?: Errno): never {
  throw new CoreProblem(what, errno);
}

/** Types that may be looked at for one object. What real objects need is thousands; a hostile one would go on for hours. */
const STEPS_MAX = 4_000_000;

/** Steps that are left to an object. */
export class CoreBudget {
  #left = STEPS_MAX;

  spend(): void {
    if (this.#left-- <= 0) fail(`the object's relocations need more than ${STEPS_MAX} steps`, 'E2BIG');
  }
}
