/** Attaches ordered sets of owners and lets them leave in every order, checking the text after every step. */
import { type Cell, isDead, isHere, type Lab, type MatrixKernel } from './lab.ts';
import type { MatrixOwner } from './owners.ts';

/** Linux's own bug, recorded on 6.12: a kprobe and one with a post_handler at one function entry leave the site patched. */
const LEAK = /stays patched|will not be restored/;
/** register_kprobe from 6.14 on: 0 is returned for a probe that is not armed. */
const SILENT = /never fires/;

export interface SetResult {
  readonly owners: readonly MatrixOwner[];
  /** Of the last one, when those before it were granted. */
  readonly last: Answer;
  /** Orders of leaving that were tried. */
  readonly leavings: number;
  /** Linux itself leaves bytes behind, and said so. */
  readonly isLeak: boolean;
  /** Linux says yes and the last one never runs. */
  readonly isSilent: boolean;
  /** ftrace shut itself down on the way, as Linux's does: all stays as it is. */
  readonly isDead: boolean;
  readonly problems: readonly string[];
}

/** What was answered; the kernel behind it is not kept. */
export type Answer = Omit<Cell, 'kernel'>;

interface Findings {
  leavings: number;
  isLeak: boolean;
  isDead: boolean;
  readonly problems: string[];
}

const namesOf = (owners: readonly MatrixOwner[], places: readonly number[]): string =>
  places.map((place) => owners[place]?.name).join(', ');

/** Everybody leaves, in every order; what was replaced has left already. */
function leave(
  lab: Lab,
  owners: readonly MatrixOwner[],
  kernel: MatrixKernel,
  gone: readonly number[],
  findings: Findings,
): void {
  if (isDead(kernel)) {
    findings.leavings += 1;
    findings.isDead = true;
    return;
  }
  const here = owners.map((_, place) => place).filter((place) => isHere(kernel, place));
  if (here.length === 0) {
    findings.leavings += 1;
    const settled = lab.settle(kernel);
    for (const problem of lab.audit(settled)) findings.problems.push(`after the optimizer ran: ${problem}`);
    const differing = settled.text.differing();
    if (differing !== 0 && !findings.isLeak)
      findings.problems.push(`${differing} bytes stay changed after leaving in the order ${namesOf(owners, gone)}`);
    return;
  }
  for (const place of here) {
    const left = lab.detach(kernel, place);
    const order = [...gone, place];
    if (isDead(left.kernel)) {
      leave(lab, owners, left.kernel, order, findings);
      continue;
    }
    if (left.fault !== undefined) {
      findings.problems.push(`detaching in the order ${namesOf(owners, order)}: ${left.fault}`);
      continue;
    }
    if (left.warnings.some((warning) => LEAK.test(warning))) findings.isLeak = true;
    for (const problem of lab.audit(left.kernel))
      findings.problems.push(`after leaving in the order ${namesOf(owners, order)}: ${problem}`);
    leave(lab, owners, left.kernel, order, findings);
  }
}

/** Attaches `last` after those before it and tries every order of leaving. */
function runSet(lab: Lab, owners: readonly MatrixOwner[], before: MatrixKernel, hadLeak: boolean): SetResult {
  const findings: Findings = { leavings: 0, isLeak: hadLeak, isDead: false, problems: [] };
  const place = owners.length - 1;
  const last = lab.attach(before, owners[place] as MatrixOwner, place);
  if (last.warnings.some((warning) => LEAK.test(warning))) findings.isLeak = true;
  for (const problem of lab.audit(last.kernel)) findings.problems.push(`after attaching: ${problem}`);
  if (last.rule !== undefined && last.kernel.text.differing() !== before.text.differing())
    findings.problems.push(`refused by ${last.rule} and changed the text`);
  const isSilent = last.warnings.some((warning) => SILENT.test(warning));
  if (last.rule === undefined && !isSilent && !last.chain.includes(place))
    findings.problems.push('it is not in its own chain');
  for (const problem of lab.call(last.kernel)) findings.problems.push(`after attaching, a call: ${problem}`);
  leave(lab, owners, last.kernel, [], findings);
  const { kernel: _, ...answer } = last;
  return { owners, last: answer, isSilent, ...findings };
}

/** The set without exceptions that escape: one is a finding like any other. */
function guardedSet(lab: Lab, owners: readonly MatrixOwner[], before: MatrixKernel, hadLeak: boolean): SetResult {
  try {
    return runSet(lab, owners, before, hadLeak);
  } catch (error) {
    const problem = `exception: ${error instanceof Error ? error.message : String(error)}`;
    const last: Answer = { verdict: 'attached', rule: undefined, warnings: [], chain: [], facts: [] };
    return { owners, last, leavings: 0, isLeak: hadLeak, isSilent: false, isDead: false, problems: [problem] };
  }
}

/**
 * All ordered sets of `size` owners whose earlier members are granted, an owner and itself included. `pick` chooses which first members and
 * which sets to run; the default is all. `firsts` limits the first members to a part of the owners, so that several threads share the work.
 */
export function* runSets(
  lab: Lab,
  size: number,
  pick: (owners: readonly MatrixOwner[]) => boolean = () => true,
  firsts: readonly MatrixOwner[] = lab.owners,
): Generator<SetResult> {
  function* extend(owners: readonly MatrixOwner[], kernel: MatrixKernel, hadLeak: boolean): Generator<SetResult> {
    for (const owner of owners.length === 0 ? firsts : lab.owners) {
      const next = [...owners, owner];
      if (next.length === size) {
        if (pick(next)) yield guardedSet(lab, next, kernel, hadLeak);
        continue;
      }
      const cell = lab.attach(kernel, owner, owners.length);
      const isLeak = hadLeak || cell.warnings.some((warning) => LEAK.test(warning));
      // A refusal leaves a smaller set, which is run as such; a killed ftrace ends the set: nothing moves any more.
      if (cell.rule === undefined) yield* extend(next, cell.kernel, isLeak);
    }
  }
  yield* extend([], lab.start, false);
}
