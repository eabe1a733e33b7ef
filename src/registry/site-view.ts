/** Who is at a site, in which order they run, and what is left for others. Reads a Txn and changes nothing. */

import { ENDBR_INSN_SIZE } from '../insn/index.ts';
import { programFunctionAt } from './bpf/programs.ts';
import { allLinks } from './bpf/trampoline.ts';
import { hasFlag, opsAt } from './ftrace/ops-list.ts';
import { labelAt } from './jump-label/keys.ts';
import { labelOwners } from './jump-label/owners.ts';
import { TRAMPOLINE_PROGRAMS_MAX } from './kernels/bpf-facts.ts';
import { standingBytes } from './kprobe/entry.ts';
import { OPS, REC } from './model/flags.ts';
import type { BpfTrampoline } from './model/state.ts';
import { kprobeAttachments, opsAttachments } from './owners/holders.ts';
import { trampolineCovering } from './static-call/calls.ts';
import { callOwnersAt } from './static-call/owners.ts';
import type { Txn } from './txn.ts';
import { floorIndex, ftraceSiteIn, MCOUNT_INSN_SIZE } from './world.ts';

export type SiteKind = 'ftrace' | 'kprobe' | 'jump_label' | 'static_call' | 'bpf_prog' | 'text';

export interface SiteFacts {
  readonly at: number;
  readonly kind: SiteKind;
  /** Length of the bytes an owner would change. */
  readonly length: number;
  readonly mechanism: string;
  /** Attachments that have the site, disabled ones included, in the order in which they run. */
  readonly owners: readonly string[];
  /** Those that run: none at an ftrace site while ftrace is switched off. */
  readonly chain: readonly string[];
  readonly budget: Readonly<Record<string, number>>;
  readonly revision: number;
  readonly isQuarantined: boolean;
}

type Facts = Pick<SiteFacts, 'mechanism' | 'owners' | 'budget'>;

function siteKind(txn: Txn, at: number): { readonly kind: SiteKind; readonly length: number } {
  const { image } = txn.world;
  if (ftraceSiteIn(txn.world, at, at) === at) return { kind: 'ftrace', length: MCOUNT_INSN_SIZE };
  const entry = txn.kprobeTable.get(at);
  if (entry !== undefined) return { kind: 'kprobe', length: standingBytes(entry)?.length ?? 1 };
  const label = floorIndex(image.jumpLabels.code, at);
  if (image.jumpLabels.code[label] === at)
    return { kind: 'jump_label', length: image.jumpLabels.size[label] as number };
  const call = floorIndex(image.staticCalls.site, at);
  if (image.staticCalls.site[call] === at)
    return { kind: 'static_call', length: image.staticCalls.size[call] as number };
  if (programFunctionAt(txn, at) !== undefined || programFunctionAt(txn, at - ENDBR_INSN_SIZE) !== undefined)
    return { kind: 'bpf_prog', length: MCOUNT_INSN_SIZE };
  if (trampolineCovering(txn.world, at) === at) return { kind: 'static_call', length: MCOUNT_INSN_SIZE };
  return { kind: 'text', length: 1 };
}

/** The BPF trampoline whose call stands at this address. */
export function trampolineAt(txn: Txn, at: number): BpfTrampoline | undefined {
  if (txn.trampolines.size === 0) return undefined;
  const generated = txn.trampolines.get(at) ?? txn.trampolines.get(at - ENDBR_INSN_SIZE);
  if (generated?.program !== undefined) return generated;
  const func = txn.world.image.symbols.containing(at)?.offset;
  return func === undefined ? undefined : txn.trampolines.get(func);
}

function ftraceMechanism(txn: Txn, at: number): string {
  const { flags } = txn.record(at);
  if (!(flags & REC.ENABLED)) return 'none';
  if (flags & REC.DIRECT_EN) return 'ftrace-direct';
  if (flags & REC.TRAMP_EN) return 'ftrace-trampoline';
  return flags & REC.REGS_EN ? 'ftrace-regs-list' : 'ftrace-list';
}

/** ftrace-level owners newest first, then the direct call: fentry, fmod_ret, fexit programs newest first. */
function ftraceOwners(txn: Txn, at: number): readonly string[] {
  const ops = opsAt(txn, at);
  const owners = new Set<string>();
  const add = (ids: readonly string[]): void => {
    for (const id of ids) owners.add(id);
  };
  for (const each of ops) if (!hasFlag(each, OPS.DIRECT)) add(opsAttachments(txn, each, at));
  for (const each of ops) if (hasFlag(each, OPS.DIRECT)) add(opsAttachments(txn, each, at));
  // The disabled ones among the kprobes come last.
  add(kprobeAttachments(txn, at));
  return [...owners];
}

function ftraceBudget(txn: Txn, at: number): Readonly<Record<string, number>> {
  const trampoline = trampolineAt(txn, at);
  return {
    ipmodify: txn.record(at).flags & REC.IPMODIFY ? 0 : 1,
    direct: txn.directFunctions.has(at) ? 0 : 1,
    bpfPrograms: txn.world.fact(TRAMPOLINE_PROGRAMS_MAX) - (trampoline === undefined ? 0 : allLinks(trampoline).length),
  };
}

const runs = (txn: Txn, kind: SiteKind, id: string): boolean =>
  (kind !== 'ftrace' || txn.ftrace.isEnabled) && txn.attachments.get(id)?.isEnabled !== false;

function bodyFacts(txn: Txn, at: number): Facts {
  const entry = txn.kprobeTable.get(at);
  if (entry !== undefined)
    return {
      mechanism: { original: 'none', int3: 'int3', jump: 'optprobe-jump' }[entry.first],
      owners: kprobeAttachments(txn, at),
      budget: {},
    };
  const followers = labelOwners(txn, at) ?? callOwnersAt(txn, at);
  if (followers !== undefined) {
    const name = labelAt(txn.world, at) === undefined ? 'static-call' : 'jump-label';
    return { mechanism: followers.length === 0 ? 'none' : name, owners: followers, budget: {} };
  }
  const trampoline = trampolineAt(txn, at);
  if (trampoline?.extension !== undefined)
    return { mechanism: 'bpf-jump', owners: [trampoline.extension.attachment], budget: { bpfPrograms: 0 } };
  if (trampoline?.isFtraceManaged === false)
    return {
      mechanism: 'bpf-call',
      owners: allLinks(trampoline).map((link) => link.attachment),
      budget: { bpfPrograms: txn.world.fact(TRAMPOLINE_PROGRAMS_MAX) - allLinks(trampoline).length },
    };
  return { mechanism: 'none', owners: [], budget: {} };
}

/** kgdb sees an int3 before anybody else does. */
function withBreakpoint(txn: Txn, at: number, facts: Facts): Facts {
  const breakpoint = txn.kgdb.get(at);
  if (breakpoint?.attachment === undefined) return facts;
  const mechanism = breakpoint.isPresent ? 'kgdb-int3' : facts.mechanism;
  return { ...facts, mechanism, owners: [breakpoint.attachment, ...facts.owners] };
}

/** Attachments that have the site, as {@link SiteFacts.owners}. */
export function siteOwners(txn: Txn, at: number): readonly string[] {
  const isFtrace = ftraceSiteIn(txn.world, at, at) === at;
  if (!isFtrace || txn.kgdb.has(at)) return siteFacts(txn, at).owners;
  return ftraceOwners(txn, at);
}

export function siteFacts(txn: Txn, at: number): SiteFacts {
  const { kind, length } = siteKind(txn, at);
  const bare =
    kind === 'ftrace'
      ? { mechanism: ftraceMechanism(txn, at), owners: ftraceOwners(txn, at), budget: ftraceBudget(txn, at) }
      : bodyFacts(txn, at);
  const facts = withBreakpoint(txn, at, bare);
  return {
    at,
    kind,
    length: facts.mechanism.startsWith('bpf-') ? MCOUNT_INSN_SIZE : length,
    ...facts,
    chain: facts.owners.filter((id) => runs(txn, kind, id)),
    revision: txn.revisions.get(at) ?? 0,
    isQuarantined: txn.quarantined.has(at),
  };
}
