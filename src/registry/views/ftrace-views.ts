/**
 * Files of tracefs about ftrace sites.
 * Source: kernel/trace/ftrace.c t_show, t_func_next, print_rec; arch/x86/kernel/ftrace.c arch_ftrace_trampoline_func (6.12; 6.1 alike but
 * for the columns O and M).
 */
import { err, ok, type Result } from '../../base/index.ts';
import { CALL_INSN_OPCODE, CALL_INSN_SIZE, relTarget } from '../../insn/index.ts';
import { ftraceUsable } from '../ftrace/ops.ts';
import { hasFlag, opsAt } from '../ftrace/ops-list.ts';
import { ENABLED_FUNCTIONS } from '../kernels/ftrace-facts.ts';
import { OPS, REC } from '../model/flags.ts';
import type { DynFtrace, FtraceOps } from '../model/state.ts';
import { refuse } from '../rules/rule.ts';
import { VIEW_UNKNOWN } from '../rules/sysctl.ts';
import type { Txn } from '../txn.ts';
import { FTRACE_MCOUNT_MAX_OFFSET } from '../world.ts';
import { formatFunc, formatSymbol, moduleSuffix } from './format-symbol.ts';

const has = (record: DynFtrace, flag: number): boolean => (record.flags & flag) !== 0;
const column = (isSet: boolean, letter: string): string => (isSet ? ` ${letter}` : '  ');

/** print_rec. A site that a dropped weak function left behind has no name of its own. */
function siteName(txn: Txn, site: number): string {
  const symbol = txn.world.image.symbols.containing(site);
  const offset = symbol?.offset === undefined ? 0 : site - symbol.offset;
  if (symbol === undefined || offset > FTRACE_MCOUNT_MAX_OFFSET) return `__ftrace_invalid_address___${offset}`;
  return symbol.name + moduleSuffix(txn, site);
}

/** addr_from_call: what the call at this place calls; undefined when none is there. */
function calleeAt(txn: Txn, at: number): number | undefined {
  if (!txn.text.contains(at, CALL_INSN_SIZE)) return undefined;
  const bytes = txn.text.bytes(at, CALL_INSN_SIZE);
  return bytes[0] === CALL_INSN_OPCODE ? relTarget(bytes, at) : undefined;
}

/** arch_ftrace_trampoline_func for a record that goes through a shared caller. */
function sharedCallee(txn: Txn, record: DynFtrace): number | undefined {
  const { ftrace } = txn.world;
  if (ftrace === undefined) return undefined;
  return calleeAt(txn, has(record, REC.REGS_EN) ? ftrace.ftraceRegsCall : ftrace.ftraceCall);
}

/** The same for an ops with a trampoline: its private copy has its call where the original has it. */
function privateCallee(txn: Txn, ops: FtraceOps): number | undefined {
  const { ftrace } = txn.world;
  if (ftrace === undefined || ops.trampoline === undefined || !hasFlag(ops, OPS.ALLOC_TRAMP)) return undefined;
  const offset = hasFlag(ops, OPS.SAVE_REGS)
    ? ftrace.ftraceRegsCall - ftrace.ftraceRegsCaller
    : ftrace.ftraceCall - ftrace.ftraceCaller;
  return calleeAt(txn, ops.trampoline + offset);
}

const arrow = (txn: Txn, callee: number | undefined): string =>
  callee === undefined ? '' : ` ->${formatSymbol(txn, callee)}`;

function trampolines(txn: Txn, site: number, record: DynFtrace): string {
  if (!has(record, REC.TRAMP_EN)) return arrow(txn, sharedCallee(txn, record));
  const shown = opsAt(txn, site).flatMap((ops) =>
    ops.trampoline === undefined
      ? []
      : [
          `\ttramp: ${formatSymbol(txn, ops.trampoline)} (${formatFunc(txn, ops)})${arrow(txn, privateCallee(txn, ops))}`,
        ],
  );
  return shown.length === 0 ? '\ttramp: ERROR!' : shown.join('');
}

function recordLine(txn: Txn, site: number, record: DynFtrace): string {
  const flags = [
    column(has(record, REC.REGS), 'R'),
    column(has(record, REC.IPMODIFY), 'I'),
    column(has(record, REC.DIRECT), 'D'),
  ];
  // CALL_OPS, the O, is for architectures other than x86.
  if (txn.world.fact(ENABLED_FUNCTIONS) === '6.12')
    flags.push(column(false, 'O'), has(record, REC.MODIFIED) ? ' M ' : '   ');
  const direct = has(record, REC.DIRECT) ? txn.directFunctions.get(site) : undefined;
  return [
    `${siteName(txn, site)} (${record.count})${flags.join('')}${trampolines(txn, site, record)}`,
    direct === undefined ? '' : `\n\tdirect-->${formatSymbol(txn, direct)}`,
  ].join('');
}

function recordLines(txn: Txn, flag: number): string {
  // t_start: a dead ftrace shows nothing.
  if (txn.ftrace.isDisabled) return '';
  const shown = [...txn.records].filter(([, record]) => has(record, flag)).sort(([a], [b]) => a - b);
  return shown.map(([site, record]) => `${recordLine(txn, site, record)}\n`).join('');
}

/** Sites that call something now. */
export const enabledFunctions = (txn: Txn): Result<string> => ok(recordLines(txn, REC.ENABLED));

/** Sites that ever called something; a file of 6.4 and later. */
export function touchedFunctions(txn: Txn): Result<string> {
  if (txn.world.fact(ENABLED_FUNCTIONS) === '6.12') return ok(recordLines(txn, REC.TOUCHED));
  return err(refuse(VIEW_UNKNOWN, { detail: `${txn.world.image.release} has no touched_functions.` }));
}

/** All sites in the order of their addresses. Linux does not open this file once ftrace is dead. */
export function availableFilterFunctions(txn: Txn): Result<string> {
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return err(unusable);
  const lines: string[] = [];
  for (const site of txn.world.ftraceSites) lines.push(`${siteName(txn, site)}\n`);
  return ok(lines.join(''));
}
