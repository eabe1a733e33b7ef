/** What a decision is made of, whatever it is about, and what happens when text is not as its owners say. */
import type { Fault, Steps } from '../base/index.ts';
import type { Attachment, KernelState } from './model/state.ts';
import { FTRACE_DISABLED } from './rules/ftrace.ts';
import { SITE_UNEXPECTED_BYTES } from './rules/request.ts';
import { refuse } from './rules/rule.ts';
import type { TextOp } from './text-op.ts';
import { byteDetails, UnexpectedBytes } from './txn.ts';
import { breakpointInTheWay, bugInLinux } from './unexpected-bytes.ts';
import { describePlace, ftraceSiteIn, type World } from './world.ts';

export interface DecisionOf<Granted> {
  readonly outcome: ({ readonly kind: 'granted' } & Granted) | { readonly kind: 'refused'; readonly fault: Fault };
  /** What the kernel is afterwards; the state before when nothing changed. */
  readonly state: KernelState;
  readonly ops: readonly TextOp[];
  readonly warnings: readonly string[];
  /** Attachments that ended with it although nobody detached them. */
  readonly replaced: readonly Attachment[];
}

/** What carrying out needs of a decision. */
export type Change = Omit<DecisionOf<unknown>, 'outcome'>;

export const refused = (state: KernelState, fault: Fault, warnings: readonly string[] = []): DecisionOf<never> => ({
  outcome: { kind: 'refused', fault },
  state,
  ops: [],
  warnings,
  replaced: [],
});

/** Runs a step of a decision; bytes that no owner accounts for become a fault, and in `linux` strictness the end of ftrace. */
export function guarded<Granted>(
  world: World,
  before: KernelState,
  step: () => DecisionOf<Granted>,
): DecisionOf<Granted> {
  try {
    return step();
  } catch (error) {
    return ofUnexpectedBytes(world, before, error);
  }
}

/** The same for a step that can rest. */
export function* guardedSteps<Granted>(
  world: World,
  before: KernelState,
  steps: Steps<DecisionOf<Granted>>,
): Steps<DecisionOf<Granted>> {
  try {
    return yield* steps;
  } catch (error) {
    return ofUnexpectedBytes(world, before, error);
  }
}

/** Throws on what is anything else. */
function ofUnexpectedBytes(world: World, before: KernelState, error: unknown): DecisionOf<never> {
  if (!(error instanceof UnexpectedBytes)) throw error;
  const breakpoint = breakpointInTheWay(world, before, error);
  if (breakpoint !== undefined) return refused(before, breakpoint);
  const place = describePlace(world, error.at);
  const detail = `${place} does not have the bytes that its owners account for; nothing was written.`;
  const isFtrace = ftraceSiteIn(world, error.at, error.at) === error.at;
  if (world.strictness === 'linux' && isFtrace)
    return refused(
      { ...before, ftrace: { ...before.ftrace, isDisabled: true } },
      refuse(FTRACE_DISABLED, { detail: `${detail} ftrace shut itself down.`, place, ...byteDetails(error) }),
    );
  const bug = bugInLinux(world, before, error);
  if (bug !== undefined) return refused(before, bug);
  const found = byteDetails(error);
  const quarantined = before.quarantined.set(error.at, {
    expected: found.expected ?? '',
    actual: found.actual ?? '',
  });
  return refused({ ...before, quarantined }, refuse(SITE_UNEXPECTED_BYTES, { detail, place, ...found }));
}
