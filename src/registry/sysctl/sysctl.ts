/**
 * The two sysctls that decide what happens to kernel text.
 * Source: kernel/trace/ftrace.c ftrace_enable_sysctl; kernel/kprobes.c proc_kprobes_optimization_handler (6.12; 6.1 alike).
 */
import { err, type Fault, ok, type ReadableText, type Result } from '../../base/index.ts';
import { bpfOpsFunc } from '../bpf/trampoline.ts';
import { type DecisionOf, guarded, refused } from '../decision.ts';
import { ftraceUsable, switchFtraceOff, switchFtraceOn } from '../ftrace/ops.ts';
import { hasFlag } from '../ftrace/ops-list.ts';
import { optimizeAllKprobes, unoptimizeAllKprobes } from '../kprobe/optimizer.ts';
import { OPS } from '../model/flags.ts';
import type { KernelState } from '../model/state.ts';
import { opsAttachments } from '../owners/holders.ts';
import { refuse } from '../rules/rule.ts';
import { SYSCTL_FTRACE_PERMANENT, SYSCTL_UNKNOWN, SYSCTL_VALUE } from '../rules/sysctl.ts';
import { Txn } from '../txn.ts';
import type { World } from '../world.ts';

export const SYSCTLS = ['kernel.ftrace_enabled', 'debug.kprobes-optimization'] as const;
export type SysctlName = (typeof SYSCTLS)[number];

export interface Sysctl {
  readonly name: SysctlName;
  /** 0 or 1. */
  readonly value: number;
}

export type SysctlDecision = DecisionOf<Sysctl>;

const isSysctl = (name: string): name is SysctlName => SYSCTLS.some((each) => each === name);

const unknown = (name: string): Fault => refuse(SYSCTL_UNKNOWN, { detail: `There is no sysctl ${name}.` });

function sysctlValue(state: Pick<KernelState, 'ftrace' | 'isKprobesOptimization'>, name: SysctlName): number {
  return Number(name === 'kernel.ftrace_enabled' ? state.ftrace.isEnabled : state.isKprobesOptimization);
}

/** The value now. Once ftrace is dead even reading its switch is ENODEV, as in Linux. */
export function readSysctl(txn: Txn, name: string): Result<Sysctl> {
  if (!isSysctl(name)) return err(unknown(name));
  const fault = name === 'kernel.ftrace_enabled' ? ftraceUsable(txn) : undefined;
  return fault === undefined ? ok({ name, value: sysctlValue(txn, name) }) : err(fault);
}

/** is_permanent_ops_registered. */
function permanentFault(txn: Txn): Fault | undefined {
  const permanent = [...txn.opsTable.values()].filter(
    (ops) => ops.position !== undefined && hasFlag(ops, OPS.PERMANENT),
  );
  if (permanent.length === 0) return undefined;
  const holders = permanent.flatMap((ops) => ops.filter.toArray().flatMap((site) => opsAttachments(txn, ops, site)));
  return refuse(SYSCTL_FTRACE_PERMANENT, {
    detail: 'kernel.ftrace_enabled cannot become 0: an owner is attached that may not be silenced.',
    holders: txn.holders(holders),
  });
}

function write(txn: Txn, name: SysctlName, isOn: boolean): Fault | undefined {
  if (name === 'debug.kprobes-optimization') {
    if (isOn) optimizeAllKprobes(txn);
    else unoptimizeAllKprobes(txn);
    return undefined;
  }
  if (isOn) {
    switchFtraceOn(txn);
    return undefined;
  }
  const fault = permanentFault(txn);
  if (fault === undefined) switchFtraceOff(txn);
  return fault;
}

/** Decides a write. Writing the value that is there already changes nothing. */
export function decideSysctl(
  world: World,
  state: KernelState,
  text: ReadableText,
  name: string,
  value: number,
): SysctlDecision {
  if (!isSysctl(name)) return refused(state, unknown(name));
  if (value !== 0 && value !== 1)
    return refused(state, refuse(SYSCTL_VALUE, { detail: `${name} takes 0 or 1, not ${value}.` }));
  return guarded<Sysctl>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const unusable = name === 'kernel.ftrace_enabled' ? ftraceUsable(txn) : undefined;
    if (unusable !== undefined) return refused(state, unusable);
    const granted = { kind: 'granted' as const, name, value };
    if (sysctlValue(state, name) === value) return { outcome: granted, state, ops: [], warnings: [], replaced: [] };
    const fault = write(txn, name, value === 1);
    if (fault !== undefined) return refused(state, fault);
    return { outcome: granted, state: txn.finish(), ops: txn.ops, warnings: txn.warnings, replaced: [] };
  });
}
