/**
 * One trampoline per traced function, shared by all its BPF programs.
 * Source: kernel/bpf/trampoline.c __bpf_trampoline_link_prog, bpf_trampoline_update, bpf_tramp_ftrace_ops_func, bpf_tramp_image_put;
 * arch/x86/net/bpf_jit_comp.c __bpf_arch_text_poke (6.12; 6.1 alike).
 */
import { Set as ImmutableSet } from 'immutable';
import { err, type Fault, invariant, ok, type Result } from '../../base/index.ts';
import { ENDBR_INSN_SIZE, isEndbr } from '../../insn/index.ts';
import { BPF_INSN_SAFETY, generateBpfTrampoline, type TrampolineFlags, trampolineSymbols } from '../../jit/index.ts';
import { dataObject, install, originalBytes, remove } from '../arena.ts';
import { modifyFtraceDirect, registerFtraceDirect, unregisterFtraceDirect } from '../ftrace/direct.ts';
import { newOps } from '../ftrace/new-ops.ts';
import { setFilterIp } from '../ftrace/ops.ts';
import { TRAMPOLINE_PROGRAMS_MAX } from '../kernels/bpf-facts.ts';
import { UNKNOWN } from '../kernels/fact.ts';
import { DIRECT_MEETS_IPMODIFY, DIRECT_OPS, MODIFY_DIRECT, RETRY_DIRECT } from '../kernels/ftrace-facts.ts';
import { OPS, REC, TRAMP_F } from '../model/flags.ts';
import type { BpfImage, BpfTrampoline, FtraceOps, TrampLink, TrampLinkKind } from '../model/state.ts';
import { ipmodifyHolders } from '../owners/holders.ts';
import {
  BPF_HIDDEN_ENDBR,
  BPF_IPMODIFY_ORDER,
  BPF_LAYOUT_MIX,
  BPF_RETRY_BUSY,
  BPF_SAME_PROGRAM,
  BPF_TOO_MANY_PROGRAMS,
  BPF_TRAMPOLINE_TOO_BIG,
  BPF_TRAMPOLINE_UNKNOWN,
} from '../rules/bpf.ts';
import { unsettled } from '../rules/kernel.ts';
import { refuse } from '../rules/rule.ts';
import type { OpsFunc, Txn } from '../txn.ts';
import { ftraceLocation } from '../world.ts';
import type { BpfTarget } from './attach-target.ts';
import { extensionFault } from './extension-fault.ts';
import { putImage, teardownOf } from './image.ts';
import { putTarget } from './programs.ts';
import { archTextPoke, pokeSite, trampolineSite } from './text-poke.ts';

const PAGE_SIZE = 4096;

/** The errno that asks for a trampoline with ORIG_STACK; never leaves this file. */
const REGENERATE: Fault = { errno: 'EAGAIN', rule: 'bpf.trampoline.regenerate', detail: 'regenerate with ORIG_STACK' };

const hasTrampFlag = (trampoline: BpfTrampoline, flag: number): boolean => (trampoline.flags & flag) !== 0;

export const allLinks = (trampoline: BpfTrampoline): readonly TrampLink[] => [
  ...trampoline.links.fentry,
  ...trampoline.links.fmod_ret,
  ...trampoline.links.fexit,
];

const setTrampoline = (txn: Txn, trampoline: BpfTrampoline): BpfTrampoline => {
  txn.trampolines.set(trampoline.func, trampoline);
  return trampoline;
};

function registerFentry(txn: Txn, trampoline: BpfTrampoline, image: number): Fault | undefined {
  const site = trampoline.program === undefined ? ftraceLocation(txn.world, trampoline.func) : undefined;
  if (site === undefined) return archTextPoke(txn, trampoline, 'call', undefined, image);
  setTrampoline(txn, { ...txn.trampoline(trampoline.func), isFtraceManaged: true });
  txn.setOp({ ...txn.op(trampoline.ops), filter: ImmutableSet<number>() });
  return setFilterIp(txn, trampoline.ops, site, 'add') ?? registerFtraceDirect(txn, trampoline.ops, image);
}

function modifyFentry(txn: Txn, trampoline: BpfTrampoline, from: number, to: number): Fault | undefined {
  if (trampoline.isFtraceManaged) return modifyFtraceDirect(txn, trampoline.ops, to);
  return archTextPoke(txn, trampoline, 'call', from, to);
}

function unregisterFentry(txn: Txn, trampoline: BpfTrampoline, from: number): Fault | undefined {
  if (trampoline.isFtraceManaged) return unregisterFtraceDirect(txn, trampoline.ops, from);
  return archTextPoke(txn, trampoline, 'call', from, undefined);
}

function wantedFlags(trampoline: BpfTrampoline): number {
  const callsOriginal = trampoline.links.fexit.length > 0 || trampoline.links.fmod_ret.length > 0;
  let flags = trampoline.flags & TRAMP_F.SHARE_IPMODIFY;
  flags |= callsOriginal ? TRAMP_F.CALL_ORIG | TRAMP_F.SKIP_FRAME : TRAMP_F.RESTORE_REGS;
  if (callsOriginal && flags & TRAMP_F.SHARE_IPMODIFY) flags |= TRAMP_F.ORIG_STACK;
  if (allLinks(trampoline).some((link) => link.callsGetFuncIp === true)) flags |= TRAMP_F.IP_ARG;
  return flags;
}

const generatorFlags = (flags: number): TrampolineFlags => ({
  restoreRegs: (flags & TRAMP_F.RESTORE_REGS) !== 0,
  callOrig: (flags & TRAMP_F.CALL_ORIG) !== 0,
  skipFrame: (flags & TRAMP_F.SKIP_FRAME) !== 0,
  ipArg: (flags & TRAMP_F.IP_ARG) !== 0,
  origStack: (flags & TRAMP_F.ORIG_STACK) !== 0,
  tailCallCtx: false,
});

/** is_endbr: what stands there now, a breakpoint included; `safe` knows better. */
const startsWithEndbr = (txn: Txn, func: number): boolean =>
  txn.world.strictness === 'linux' ? pokeSite(txn, func) !== func : isEndbr(originalBytes(txn, func, ENDBR_INSN_SIZE));

/** arch_prepare_bpf_trampoline into fresh room. Where it lives and how large it is, or why it cannot be made. */
function generate(txn: Txn, trampoline: BpfTrampoline): Result<BpfImage> {
  const { image, cpu, codeLayout } = txn.world;
  const programs = allLinks(trampoline).map((link) => ({
    kind: link.kind,
    entry: link.entry,
    prog: link.prog,
    cookie: link.cookie,
    sleepable: link.sleepable,
    recursionChecked: link.isRecursionChecked,
  }));
  const flags = generatorFlags(trampoline.flags);
  const layout = trampoline.layout === 'linux' ? codeLayout : trampoline.layout;
  const symbols: Record<string, number> = {};
  for (const name of trampolineSymbols({ layout, programs, flags })) {
    const offset = image.symbols.offsetOf(name);
    if (offset === undefined)
      return err(refuse(BPF_TRAMPOLINE_UNKNOWN, { detail: `${image.release} has no ${name}.` }));
    symbols[name] = offset;
  }
  const descriptor = dataObject(txn, 64);
  const at = (where: number) =>
    generateBpfTrampoline({
      layout,
      at: where,
      base: image.base,
      function: { entry: trampoline.func, startsWithEndbr: startsWithEndbr(txn, trampoline.func) },
      argSizes: trampoline.argSizes,
      programs,
      flags,
      image: descriptor,
      symbols,
      cpu,
    });
  const trial = at(txn.arena.next);
  if (!trial.ok) return trial;
  const size = trial.value.allocatedSize;
  if (size > PAGE_SIZE)
    return err(
      refuse(BPF_TRAMPOLINE_TOO_BIG, {
        detail: `The trampoline of ${txn.place(trampoline.func)} would have ${size} bytes, a page has ${PAGE_SIZE}.`,
        place: txn.place(trampoline.func),
      }),
    );
  const where = install(
    txn,
    { size: size + BPF_INSN_SAFETY, what: `bpf_trampoline_${txn.place(trampoline.func)}` },
    (place) => {
      const made = at(place);
      invariant(made.ok, 'a trampoline that could be made at one place can be made at another');
      return made.value.bytes;
    },
  );
  return ok({ at: where, size, teardown: teardownOf(where, trial.value) });
}

/**
 * bpf_trampoline_update.
 *   1. No program left: detach and let the image drain.
 *   2. Flags are computed afresh; only SHARE_IPMODIFY is kept.
 *   3. The new image is complete before the site is switched to it.
 *   4. EAGAIN means that an IPMODIFY owner is there: make the image again with ORIG_STACK and try once more.
 */
export function updateTrampoline(txn: Txn, func: number): Fault | undefined {
  const before = txn.trampoline(func);
  if (allLinks(before).length === 0) {
    invariant(before.image !== undefined, 'a trampoline without programs has an image to let go');
    const fault = unregisterFentry(txn, before, before.image.at);
    if (fault !== undefined) return fault;
    if (before.image !== undefined) putImage(txn, before.image);
    dropTrampoline(txn, before);
    return undefined;
  }
  for (let attempt = 0; attempt < 2; attempt++) {
    const wanted = setTrampoline(txn, { ...txn.trampoline(func), flags: wantedFlags(txn.trampoline(func)) });
    const image = generate(txn, wanted);
    if (!image.ok) return image.fault;
    const fault =
      wanted.image === undefined
        ? registerFentry(txn, wanted, image.value.at)
        : modifyFentry(txn, wanted, wanted.image.at, image.value.at);
    if (fault === undefined) {
      if (wanted.image !== undefined) putImage(txn, wanted.image);
      setTrampoline(txn, { ...txn.trampoline(func), image: image.value });
      return undefined;
    }
    if (fault.errno !== 'EAGAIN') return fault;
    const stuck = wanted.image === undefined ? retryBusy(txn, func) : undefined;
    if (stuck !== undefined) return stuck;
    remove(txn, image.value.at, []);
  }
  invariant(false, 'a trampoline with ORIG_STACK is accepted beside IPMODIFY');
}

/** What becomes of registering once more after EAGAIN: between 6.7 and 6.17 the first attempt leaves its entry in direct_functions. */
function retryBusy(txn: Txn, func: number): Fault | undefined {
  const retry = txn.world.fact(RETRY_DIRECT);
  if (retry === 'works') return undefined;
  const site = trampolineSite(txn, func);
  const place = txn.place(site);
  if (retry === UNKNOWN) return unsettled(RETRY_DIRECT, { detail: `${place} has an IPMODIFY owner.`, place });
  return refuse(BPF_RETRY_BUSY, {
    detail: `${place} has an IPMODIFY owner, and Linux ${txn.world.kernel} finds its own first attempt in the way.`,
    place,
    holders: ipmodifyHolders(txn, site),
  });
}

/** bpf_tramp_ftrace_ops_func. */
export const bpfOpsFunc: OpsFunc = (txn, ops: FtraceOps, command) => {
  invariant(ops.bpfFunction !== undefined, 'ops of a BPF trampoline');
  const trampoline = txn.trampoline(ops.bpfFunction);
  const needsStack = hasTrampFlag(trampoline, TRAMP_F.CALL_ORIG) && !hasTrampFlag(trampoline, TRAMP_F.ORIG_STACK);
  switch (command) {
    case 'ENABLE_SHARE_IPMODIFY_SELF':
      if (!needsStack) return undefined;
      setTrampoline(txn, { ...trampoline, flags: trampoline.flags | TRAMP_F.SHARE_IPMODIFY });
      return REGENERATE;
    case 'ENABLE_SHARE_IPMODIFY_PEER':
      setTrampoline(txn, { ...trampoline, flags: trampoline.flags | TRAMP_F.SHARE_IPMODIFY });
      return needsStack ? updateTrampoline(txn, trampoline.func) : undefined;
    case 'DISABLE_SHARE_IPMODIFY_PEER': {
      const cleared = { ...trampoline, flags: trampoline.flags & ~TRAMP_F.SHARE_IPMODIFY };
      setTrampoline(txn, cleared);
      return hasTrampFlag(trampoline, TRAMP_F.ORIG_STACK) ? updateTrampoline(txn, trampoline.func) : undefined;
    }
  }
};

/** Nobody is attached any more: the trampoline goes, and with it its reference to a program. */
export function dropTrampoline(txn: Txn, { func, ops, program }: BpfTrampoline): void {
  txn.trampolines.delete(func);
  txn.opsTable.delete(ops);
  if (program !== undefined) putTarget(txn, program);
}

/** bpf_trampoline_get. */
export function trampolineFor(
  txn: Txn,
  target: BpfTarget & { readonly program?: { readonly id: string } },
  layout: BpfTrampoline['layout'],
): BpfTrampoline {
  return txn.trampolines.get(target.func) ?? newTrampoline(txn, target, layout);
}

function newTrampoline(
  txn: Txn,
  target: Parameters<typeof trampolineFor>[1],
  layout: BpfTrampoline['layout'],
): BpfTrampoline {
  const ops = `bpf_trampoline:${target.func.toString(16)}`;
  newOps(txn, ops, {
    flags: OPS.INITIALIZED | (txn.world.fact(DIRECT_OPS) === 'one for all' ? OPS.PERMANENT : 0),
    func: { at: txn.world.ftrace?.ftraceStub ?? 0, symbol: 'call_direct_funcs' },
    opsFunc: 'bpf',
    bpfFunction: target.func,
  });
  return setTrampoline(txn, {
    func: target.func,
    flags: 0,
    layout,
    argSizes: target.argSizes,
    links: { fentry: [], fmod_ret: [], fexit: [] },
    image: undefined,
    isFtraceManaged: false,
    ops,
    program: target.program?.id,
    extension: undefined,
  });
}

/**
 * A trampoline that was registered for fentry alone beside an IPMODIFY owner, and now has to call the original, needs ORIG_STACK when it is
 * modified. Kernels differ in whether they ask for it then, and in what is left of the trampoline's ops once they have.
 */
function ipmodifyOrder(txn: Txn, trampoline: BpfTrampoline, link: TrampLink): Fault | undefined {
  const site = trampolineSite(txn, trampoline.func);
  const needsStack =
    link.kind !== 'fentry' &&
    trampoline.image !== undefined &&
    !hasTrampFlag(trampoline, TRAMP_F.CALL_ORIG | TRAMP_F.SHARE_IPMODIFY) &&
    (txn.record(site).flags & REC.IPMODIFY) !== 0;
  if (!needsStack || txn.world.fact(DIRECT_MEETS_IPMODIFY) === 'never') return undefined;
  const modify = txn.world.fact(MODIFY_DIRECT);
  if (modify === 'asks') return undefined;
  const place = txn.place(site);
  const meeting = `${place} has an IPMODIFY owner and, since later, fentry`;
  if (modify === UNKNOWN) return unsettled(MODIFY_DIRECT, { detail: `${meeting}.`, place });
  const isFatal = modify === 'asks and forgets the function';
  const outcome = isFatal
    ? `the next call of ${place} kills ftrace for the whole system`
    : `${place} runs unpatched from then on, as if the IPMODIFY owner were not there`;
  if (txn.world.strictness === 'linux') {
    // The second attempt of bpf_trampoline_update clears what only registering sets again.
    if (isFatal) txn.setOp({ ...txn.op(trampoline.ops), isFuncNull: true });
    txn.warnings.push(`Linux ${txn.world.kernel} grants this, and ${outcome} (${BPF_IPMODIFY_ORDER.id}).`);
    return undefined;
  }
  return refuse(BPF_IPMODIFY_ORDER, {
    detail: `${meeting}; Linux ${txn.world.kernel} would grant ${link.kind} on top, and ${outcome}.`,
    place,
    holders: ipmodifyHolders(txn, site),
  });
}

/** is_endbr looks at live text, and a breakpoint stands on the ENDBR: the call of the original goes four bytes short. */
function hiddenEndbr(txn: Txn, trampoline: BpfTrampoline, link: TrampLink): Fault | undefined {
  const { func } = trampoline;
  const callsOriginal = link.kind !== 'fentry' || hasTrampFlag(trampoline, TRAMP_F.CALL_ORIG);
  const breakpoint = txn.kgdb.get(func);
  const isHidden = breakpoint?.isPresent === true && isEndbr(originalBytes(txn, func, ENDBR_INSN_SIZE));
  if (!callsOriginal || !isHidden) return undefined;
  const place = txn.place(func);
  if (txn.world.strictness === 'linux') {
    txn.warnings.push(`Linux grants this, and the next call of ${place} executes nonsense (${BPF_HIDDEN_ENDBR.id}).`);
    return undefined;
  }
  return refuse(BPF_HIDDEN_ENDBR, {
    detail: `A breakpoint stands on the ENDBR of ${place}; the trampoline would call the function four bytes short of its body.`,
    place,
    holders: txn.holders([breakpoint?.attachment]),
  });
}

/** __bpf_trampoline_link_prog: newest first within its kind. */
export function linkProgram(
  txn: Txn,
  target: Parameters<typeof trampolineFor>[1],
  link: TrampLink,
  layout: BpfTrampoline['layout'],
): Fault | undefined {
  const trampoline = trampolineFor(txn, target, layout);
  const extended = extensionFault(txn, trampoline);
  if (extended !== undefined) return extended;
  const place = txn.place(trampolineSite(txn, target.func));
  const links = allLinks(trampoline);
  const holders = (): ReturnType<Txn['holders']> => txn.holders(links.map((each) => each.attachment));
  if (links.length >= txn.world.fact(TRAMPOLINE_PROGRAMS_MAX))
    return refuse(BPF_TOO_MANY_PROGRAMS, {
      detail: `${target.name} already has ${links.length} BPF programs.`,
      place,
      holders: holders(),
    });
  const same = trampoline.links[link.kind].find((each) => each.program === link.program);
  if (same !== undefined)
    return refuse(BPF_SAME_PROGRAM, {
      detail: `Program ${link.program} is attached to ${target.name} as ${link.kind} already.`,
      place,
      holders: txn.holders([same.attachment]),
    });
  if (links.length > 0 && trampoline.layout !== layout)
    return refuse(BPF_LAYOUT_MIX, {
      detail: `The trampoline of ${target.name} has the layout ${trampoline.layout}, not ${layout}.`,
      place,
      holders: holders(),
    });
  const doomed = ipmodifyOrder(txn, trampoline, link) ?? hiddenEndbr(txn, trampoline, link);
  if (doomed !== undefined) return doomed;
  setTrampoline(txn, {
    ...trampoline,
    links: withLinks(trampoline, link.kind, [link, ...trampoline.links[link.kind]]),
  });
  txn.touched.add(trampolineSite(txn, target.func));
  return updateTrampoline(txn, target.func);
}

function withLinks(
  trampoline: BpfTrampoline,
  kind: TrampLinkKind,
  links: readonly TrampLink[],
): BpfTrampoline['links'] {
  return { ...trampoline.links, [kind]: links };
}

/** __bpf_trampoline_unlink_prog. */
export function unlinkProgram(txn: Txn, func: number, kind: TrampLinkKind, attachment: string): Fault | undefined {
  const trampoline = txn.trampoline(func);
  const rest = trampoline.links[kind].filter((link) => link.attachment !== attachment);
  setTrampoline(txn, { ...trampoline, links: withLinks(trampoline, kind, rest) });
  txn.touched.add(trampolineSite(txn, func));
  return updateTrampoline(txn, func);
}
