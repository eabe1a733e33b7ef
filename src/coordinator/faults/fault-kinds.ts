/** The faults by name, and which options each of them takes. */
import { type Fault, ok, type Result } from '../../base/index.ts';
import { refuse } from '../../registry/index.ts';
import { FAULT_NAMES, type FaultName, type FaultOptions, type FaultRequest } from '../service-faults.ts';
import { FAULT_NAME, FAULT_OPTIONS } from './rules.ts';

type Option = keyof FaultOptions;

interface FaultKind {
  readonly takes: readonly Option[];
  readonly needs: readonly Option[];
}

const OFTEN: readonly Option[] = ['times', 'after'];
const IN_COMMANDS: readonly Option[] = [...OFTEN, 'command', 'client', 'place'];

const KINDS: Readonly<Record<FaultName, FaultKind>> = {
  'dropped-ipi': { takes: [...IN_COMMANDS, 'cpu'], needs: [] },
  'delayed-sync': { takes: [...IN_COMMANDS, 'ms'], needs: ['ms'] },
  'crash-between-phases': { takes: [...IN_COMMANDS, 'phase', 'mode'], needs: ['phase'] },
  'journal-stall': { takes: [...OFTEN, 'ms'], needs: ['ms'] },
  'journal-full': { takes: OFTEN, needs: [] },
  'clock-jump': { takes: ['ms'], needs: ['ms'] },
};

/** Milliseconds that something may be held up for: ten minutes. A clock may jump ten years either way. */
const HELD_UP_MS_MAX = 600_000;

const wrong = (detail: string): { readonly ok: false; readonly fault: Fault } => ({
  ok: false,
  fault: refuse(FAULT_OPTIONS, { detail }),
});

export interface CheckedFault {
  readonly name: FaultName;
  readonly options: FaultOptions;
}

/** The fault that is meant; types and bounds of single options are the schema's. */
export function checkFault({ name, ...options }: FaultRequest): Result<CheckedFault> {
  const known = FAULT_NAMES.find((each) => each === name);
  if (known === undefined)
    return {
      ok: false,
      fault: refuse(FAULT_NAME, { detail: `${name} is none of ${FAULT_NAMES.join(', ')}.` }),
    };
  const { takes, needs } = KINDS[known];
  const given = Object.keys(options).filter((key) => options[key as Option] !== undefined) as Option[];
  const strange = given.find((option) => !takes.includes(option));
  if (strange !== undefined) return wrong(`${known} takes ${takes.join(', ')}, and not ${strange}.`);
  const missing = needs.find((option) => options[option] === undefined);
  if (missing !== undefined) return wrong(`${known} needs ${missing}.`);
  const { ms } = options;
  if (known === 'clock-jump' && ms === 0) return wrong('A clock that jumps by 0 ms stays where it is.');
  if (known !== 'clock-jump' && ms !== undefined && (ms < 1 || ms > HELD_UP_MS_MAX))
    return wrong(`${known} takes 1 to ${HELD_UP_MS_MAX} ms.`);
  return ok({ name: known, options });
}
