/**
 * Our own bug, thrown. The service stops writing, goes on reading and reports the first one: the kernel's BUG, made survivable for a reader.
 */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
}

export function invariant(claim: boolean, message: string | (() => string)): asserts claim {
  if (!claim) throw new InvariantViolation(typeof message === 'string' ? message : message());
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable: ${JSON.stringify(value)}`);
}
