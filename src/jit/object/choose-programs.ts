import { err, type Fault, ok, type Result } from '../../base/index.ts';
import type { BpfObject, ObjectProgram } from './load-object.ts';
import { type ObjectRule, printable } from './object-fault.ts';

/** Which programs of an object are wanted. */
export interface ProgramChoice {
  /** A section's name, or a function's. */
  readonly section?: string | undefined;
  /** All that are loaded by default. */
  readonly isAll?: boolean;
}

const LISTED_MAX = 10;

const fault = (
  rule: ObjectRule,
  errno: Fault['errno'],
  detail: string,
): { readonly ok: false; readonly fault: Fault } => err({ errno, rule, detail: printable(detail) });

function list(programs: readonly ObjectProgram[]): string {
  const names = programs.slice(0, LISTED_MAX).map(({ name, section }) => `${section} (${name})`);
  const more = programs.length - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
}

/** The programs that a request is about: one, unless all are asked for. */
export function choosePrograms({ programs }: BpfObject, choice: ProgramChoice): Result<readonly ObjectProgram[]> {
  if (programs.length === 0) return fault('bpf.object.choice', 'EINVAL', 'the object has no program');
  const { section, isAll } = choice;
  if (section === undefined) {
    const wanted = programs.filter(({ isLoadedByDefault }) => isLoadedByDefault || isAll !== true);
    if (wanted.length === 1 || (isAll === true && wanted.length > 0)) return ok(wanted);
    return fault('bpf.object.choice', 'EINVAL', `the object has ${programs.length} programs: ${list(programs)}`);
  }
  const named = programs.filter((each) => each.section === section);
  const found = named.length > 0 ? named : programs.filter(({ name }) => name === section);
  if (found.length === 1) return ok(found);
  if (found.length > 1)
    return fault('bpf.object.choice', 'EINVAL', `section ${section} has ${found.length} programs: ${list(found)}`);
  return fault('bpf.object.section', 'ENOENT', `the object has no section or function ${section}: ${list(programs)}`);
}
