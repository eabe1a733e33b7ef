/**
 * What a step would cost. Pokes, batches, sync rounds and grace periods follow from the ops and are what attaching then does; the estimate
 * is something else: what people published about real machines, named with its source, and nothing here was measured by this service.
 */
import {
  type Attachment,
  forecast,
  type GracePeriod,
  type KernelState,
  type OpCost,
  type TextOp,
} from '../registry/index.ts';
import { costAnswer } from './answers.ts';
import type { EstimateAnswer, PlanCostAnswer } from './service.ts';

const NO_GRACES: Readonly<Record<GracePeriod, number>> = {
  rcu: 0,
  rcu_tasks: 0,
  rcu_tasks_rude: 0,
  rcu_tasks_trace: 0,
  percpu_ref: 0,
};

/** Grace periods that must pass before generated code is freed, by kind. */
export function gracesOf(ops: readonly TextOp[]): Readonly<Record<GracePeriod, number>> {
  const graces = { ...NO_GRACES };
  for (const op of ops) {
    if (op.kind === 'remove') for (const grace of op.after) graces[grace] += 1;
    else if (op.kind === 'wait') graces[op.period] += 1;
  }
  return graces;
}

interface Figure {
  readonly published: string;
  readonly source: string;
  /** Milliseconds for one site; undefined where the source gives no number to divide. */
  readonly msPerSite: number | undefined;
}

const figure = (published: string, source: string, msPerSite?: number): Figure => ({ published, source, msPerSite });

const KPROBE_GOOD: readonly Figure[] = [
  figure('347 kprobes a second, one by one', 'cilium/pwru issue 274', 1000 / 347),
  figure('184 kprobes a second, one by one', 'cilium/pwru issue 470', 1000 / 184),
];
const KPROBE_PERF = figure('86 ms for each kprobe through a perf fd', 'cilium/ebpf pull request 265', 86);
const KPROBE_TRACEFS = figure('95 ms for each kprobe through tracefs', 'cilium/ebpf pull request 265', 95);
const MULTI_ON: readonly Figure[] = [
  figure('48,712 functions attached in 1.069 s', 'Linux commit 5b6c7e5c4434 (2022)', 1069 / 48_712),
  figure(
    '56,140 functions attached in 89.2 s, a regression',
    'bpf list, ZXcIN-odFOCWX8Ox@krava (2023)',
    89_200 / 56_140,
  ),
];
const MULTI_OFF: readonly Figure[] = [
  figure('48,712 functions detached in 0.373 s', 'Linux commit 5b6c7e5c4434 (2022)', 373 / 48_712),
  figure(
    '56,140 functions detached in 13.2 s, a regression',
    'bpf list, ZXcIN-odFOCWX8Ox@krava (2023)',
    13_200 / 56_140,
  ),
];
const FENTRY_ON: readonly Figure[] = [
  figure('tens of minutes for 50,000 fentry programs, one by one', 'LPC 2025, contribution 2171'),
];

/** No figure is lent to a kind that it was not published for: a kretprobe is not a kprobe. */
function figuresOf(attachment: Attachment, isDetach: boolean): readonly Figure[] {
  const { kind, options } = attachment;
  if (kind === 'kprobe_multi') return isDetach ? MULTI_OFF : MULTI_ON;
  if (isDetach) return [];
  if (kind === 'fentry') return FENTRY_ON;
  if (kind !== 'kprobe') return [];
  if (options['via'] === 'tracefs') return [KPROBE_TRACEFS];
  return options['via'] === 'perf' ? [...KPROBE_GOOD, KPROBE_PERF] : KPROBE_GOOD;
}

const rounded = (ms: number): number => Number(ms.toPrecision(3));

export function estimateOf(attachment: Attachment, isDetach: boolean): EstimateAnswer | null {
  const figures = figuresOf(attachment, isDetach);
  if (figures.length === 0) return null;
  const each = figures.flatMap(({ msPerSite }) => (msPerSite === undefined ? [] : [msPerSite]));
  const count = attachment.sites.length;
  return {
    milliseconds:
      each.length === 0 ? null : { low: rounded(Math.min(...each) * count), high: rounded(Math.max(...each) * count) },
    figures: figures.map(({ published, source }) => ({ published, source })),
    note: 'Published for real Linux machines and scaled by the number of sites; an estimate, not a measurement of this service.',
  };
}

/**
 * What the optimizer's next run writes: int3 to jump is a batch of its own for each probe; back again are two writes, and a third where the
 * int3 goes, too.
 */
function owedByOptimizer({ optimizer, kprobeTable }: KernelState): OpCost | null {
  if (!optimizer.isKicked) return null;
  const { optimizing, unoptimizing, freeing } = optimizer;
  const disarmed = [...unoptimizing, ...freeing].filter((addr) => kprobeTable.get(addr)?.isDisabled === true).length;
  // A probe that was queued may have left again.
  if (optimizing.size + unoptimizing.size + freeing.size === 0) return null;
  return {
    pokes: optimizing.size + 2 * unoptimizing.size + disarmed,
    batches: optimizing.size,
    syncRounds: 3 * optimizing.size + 2 * unoptimizing.size + disarmed,
  };
}

export const NO_COST: PlanCostAnswer = { ...costAnswer(forecast([])), graces: NO_GRACES, estimate: null, later: null };

export const planCost = (
  ops: readonly TextOp[],
  estimate: EstimateAnswer | null,
  next: KernelState,
): PlanCostAnswer => ({
  ...costAnswer(forecast(ops)),
  graces: gracesOf(ops),
  estimate,
  later: owedByOptimizer(next),
});
