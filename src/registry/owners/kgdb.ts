import { err, type Fault, formatAddress, invariant, ok, type Result } from '../../base/index.ts';
import { trampolineSite } from '../bpf/text-poke.ts';
import { labelCovering } from '../jump-label/keys.ts';
import {
  breakpointCount,
  hasHitBreak,
  KGDB_MAX_BREAKPOINTS,
  removeBreakpoint,
  setBreakpoint,
} from '../kgdb/breakpoints.ts';
import { isInFtraceCaller, isSuffixOfBlacklisted } from '../kprobe/address-safe.ts';
import { getOptimizedKprobe } from '../kprobe/optimize.ts';
import { locate } from '../place.ts';
import {
  KGDB_AT_BPF,
  KGDB_AT_FTRACE,
  KGDB_AT_JUMP_LABEL,
  KGDB_AT_KPROBE,
  KGDB_AT_STATIC_CALL,
  KGDB_BLACKLISTED,
  KGDB_EXISTS,
  KGDB_NOT_TEXT,
  KGDB_TOO_MANY,
} from '../rules/kgdb.ts';
import { type Rule, refuse } from '../rules/rule.ts';
import { siteFacts, trampolineAt } from '../site-view.ts';
import { siteCovering, trampolineCovering } from '../static-call/calls.ts';
import type { Txn } from '../txn.ts';
import { ftraceSiteIn, inRanges, isKernelText, MCOUNT_INSN_SIZE } from '../world.ts';
import type { Attached, Owner } from './owner.ts';

interface Meeting {
  readonly rule: Rule;
  readonly detail: string;
  /** The start of what is met. */
  readonly at: number;
}

function ftraceMeeting(txn: Txn, addr: number, place: string): Meeting | undefined {
  if (isInFtraceCaller(txn.world, addr))
    return { rule: KGDB_AT_FTRACE, at: addr, detail: `${place} is part of the code that ftrace copies for every ops` };
  const site = ftraceSiteIn(txn.world, addr, addr);
  if (site === undefined) return undefined;
  if (site !== addr) return { rule: KGDB_AT_FTRACE, at: site, detail: `${place} is inside an ftrace site` };
  const { owners } = siteFacts(txn, site);
  return owners.length === 0
    ? undefined
    : { rule: KGDB_AT_FTRACE, at: site, detail: `${place} is an ftrace site with ${owners.length} owners` };
}

function bpfCallCovering(txn: Txn, addr: number): number | undefined {
  const trampoline = trampolineAt(txn, addr);
  if (trampoline === undefined || trampoline.isFtraceManaged || trampoline.image === undefined) return undefined;
  const site = trampolineSite(txn, trampoline.func);
  return addr >= site && addr < site + MCOUNT_INSN_SIZE ? site : undefined;
}

/** The owner of text that a breakpoint would destroy; Linux does not ask. */
function meeting(txn: Txn, addr: number, place: string): Meeting | undefined {
  const { image } = txn.world;
  const label = labelCovering(txn.world, addr);
  if (label !== undefined) {
    const at = image.jumpLabels.code[label] as number;
    return { rule: KGDB_AT_JUMP_LABEL, at, detail: `${place} is part of a static branch (jump label)` };
  }
  const call = siteCovering(txn.world, addr);
  if (call !== undefined) {
    const at = image.staticCalls.site[call] as number;
    return { rule: KGDB_AT_STATIC_CALL, at, detail: `${place} is part of a static-call site` };
  }
  const trampoline = trampolineCovering(txn.world, addr);
  if (trampoline !== undefined)
    return { rule: KGDB_AT_STATIC_CALL, at: trampoline, detail: `${place} is part of a static-call trampoline` };
  const ftrace = ftraceMeeting(txn, addr, place);
  if (ftrace !== undefined) return ftrace;
  if (txn.kprobeTable.has(addr)) return { rule: KGDB_AT_KPROBE, at: addr, detail: `${place} has a kprobe` };
  const covering = getOptimizedKprobe(txn, addr);
  if (covering?.opt?.isOptimized === true)
    return {
      rule: KGDB_AT_KPROBE,
      at: covering.addr,
      detail: `${place} is among what an optimized kprobe's jump replaces`,
    };
  const bpf = bpfCallCovering(txn, addr);
  return bpf === undefined
    ? undefined
    : { rule: KGDB_AT_BPF, at: bpf, detail: `${place} is part of the call of a BPF trampoline` };
}

/** kgdb_validate_break_address, then the list: the order in which Linux asks. */
function refusedByKgdb(txn: Txn, addr: number, place: string): Fault | undefined {
  const { world } = txn;
  if (inRanges(world.blacklist, addr) !== undefined || isSuffixOfBlacklisted(world, addr))
    return refuse(KGDB_BLACKLISTED, { detail: `${place} is blacklisted for kprobes, and so for kgdb.`, place });
  if (!isKernelText(world, addr) || !txn.text.contains(addr, 1))
    return refuse(KGDB_NOT_TEXT, { detail: `${place} is not kernel text.`, place });
  if (hasHitBreak(txn, addr))
    return refuse(KGDB_EXISTS, {
      detail: `${place} has a breakpoint.`,
      place,
      holders: txn.holders([txn.kgdb.get(addr)?.attachment]),
    });
  return breakpointCount(txn) >= KGDB_MAX_BREAKPOINTS
    ? refuse(KGDB_TOO_MANY, { detail: `${KGDB_MAX_BREAKPOINTS} breakpoints are set.`, place })
    : undefined;
}

function refusedForOthers(txn: Txn, addr: number, place: string): Fault | undefined {
  const met = meeting(txn, addr, place);
  if (met === undefined) return undefined;
  if (txn.world.strictness === 'safe')
    return refuse(met.rule, {
      detail: `${met.detail}; Linux would set the breakpoint all the same.`,
      place,
      holders: txn.holders(siteFacts(txn, met.at).owners),
    });
  txn.warnings.push(
    `${met.detail}: Linux sets the breakpoint, and what its owners do next goes wrong; the site will not be restored by them (${met.rule.id}).`,
  );
  return undefined;
}

/** A software breakpoint of the kernel's debugger, active from here on. Source: kernel/debug/debug_core.c dbg_set_sw_break (6.12; 6.1 alike). */
export const kgdbOwner: Owner = {
  kind: 'kgdb',
  options: {},
  takes: [],
  attach(txn, request): Result<Attached> {
    const { target, identity } = request;
    invariant(target.kind === 'place', 'a breakpoint has one address');
    const addr = locate(txn.world, target.place);
    const text = target.place.kind === 'symbol' ? target.text : formatAddress(target.place.address);
    if (addr === undefined)
      return err(refuse(KGDB_NOT_TEXT, { detail: `${text} is not in the kernel's symbol table.`, place: text }));
    const place = txn.place(addr);
    const fault = refusedByKgdb(txn, addr, place) ?? refusedForOthers(txn, addr, place);
    if (fault !== undefined) return err(fault);
    if (txn.world.image.symbols.offsetOf('kgdb_breakpoint') === undefined)
      txn.warnings.push('This kernel is built without CONFIG_KGDB; the breakpoint is what one with it would set.');
    setBreakpoint(txn, addr, identity.id);
    return ok({ sites: [addr], owned: [] });
  },
  detach(txn, attachment) {
    const addr = attachment.sites[0] as number;
    if (removeBreakpoint(txn, addr))
      txn.warnings.push(
        `Somebody wrote at ${txn.place(addr)} while the breakpoint stood there; kgdb wrote back the byte that it had saved: the site will not be restored.`,
      );
    return undefined;
  },
};
