import type { Mutant } from './mutant.ts';
import { OWNER_MUTANTS } from './owners.ts';
import { PROTOCOL_MUTANTS } from './protocol.ts';

export type { Mutant } from './mutant.ts';

/** The corpus, by name. */
export const MUTANTS: ReadonlyMap<string, Mutant> = new Map(
  [...PROTOCOL_MUTANTS, ...OWNER_MUTANTS].map((mutant) => [mutant.name, mutant]),
);
