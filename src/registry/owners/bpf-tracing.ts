import { err, type Fault, invariant, ok, type Result } from '../../base/index.ts';
import { generateCountingProgram, isDirectLayout, type JitedBpf } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import { type BpfTarget, checkAttachTarget, checkLsmHook } from '../bpf/attach-target.ts';
import { LAYOUTS, type Layout, layoutOf, layoutProblem } from '../bpf/layout.ts';
import { checkProgramTarget } from '../bpf/program-target.ts';
import { attachProg, dropProgram, loadProg } from '../bpf/programs.ts';
import { trampolineSite } from '../bpf/text-poke.ts';
import { allLinks, linkProgram, unlinkProgram } from '../bpf/trampoline.ts';
import type { Attachment, BpfProg, BpfProgFunction, BpfProgram, TrampLink, TrampLinkKind } from '../model/state.ts';
import type { Place } from '../place.ts';
import { callsGetFuncIp, compileForFunction, preparedProgram } from '../program/load.ts';
import { trampolineAt } from '../site-view.ts';
import type { Txn } from '../txn.ts';
import { flag, type OptionSpecs, u64 } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

/** sizeof(struct bpf_prog) and its aux, rounded up; only its address matters. */
const BPF_PROG_SIZE = 256;
const PROGRAM_CODE_SIZE = 128;

const OPTIONS: OptionSpecs = {
  cookie: { type: 'u64' },
  sleepable: { type: 'boolean' },
  layout: { type: 'enum', values: LAYOUTS },
};

/** What a kind of BPF program attaches to, and how its trampoline calls it. */
interface Hook {
  readonly target: BpfTarget & { readonly program?: BpfProg };
  readonly link: TrampLinkKind;
  readonly type: 'tracing' | 'lsm';
}

type Code = Pick<TrampLink, 'entry' | 'prog' | 'program' | 'callsGetFuncIp'> & { readonly isOwned: boolean };

/** The loaded program's code, or code for this function where the trampoline passes no context. */
function loadedCode(txn: Txn, program: BpfProgram, image: number, target: BpfTarget, layout: Layout): Result<Code> {
  const { id, prog } = program;
  const common = { prog, program: id, callsGetFuncIp: callsGetFuncIp(preparedProgram(program)) };
  if (!isDirectLayout(layout)) return ok({ ...common, entry: image, isOwned: false });
  const { argSizes } = target;
  const at = (place: number): Result<JitedBpf> => compileForFunction(txn.world, program, { layout, argSizes }, place);
  const trial = at(txn.arena.next);
  if (!trial.ok) return trial;
  const entry = install(txn, { size: trial.value.bytes.length, what: 'bpf_prog' }, (place) => {
    const made = at(place);
    invariant(made.ok, 'a program that could be compiled for one place can be for another');
    return made.value.bytes;
  });
  return ok({ ...common, entry, isOwned: true });
}

type Kind = Pick<BpfProg, 'type' | 'attachType' | 'tracesTracing' | 'isSleepable'>;

/** The program of an attachment that brings none, under the attachment's id. */
export function loadCountingProgram(
  txn: Txn,
  program: Kind & Pick<BpfProg, 'id'>,
  args: BpfProgFunction['args'] = ['ctx'],
): BpfProgFunction {
  const { codeLayout, cpu } = txn.world;
  const counter = dataObject(txn, 8);
  const generate = (at: number): Uint8Array => generateCountingProgram({ layout: codeLayout, at, counter, cpu });
  const main = { name: 'main', args, isGlobal: true, size: PROGRAM_CODE_SIZE, counter, generate };
  const [func] = loadProg(txn, { ...program, hasBtf: true, functions: [main] }).functions;
  invariant(func !== undefined, 'a program has a main function');
  return func;
}

/** The code that the trampoline calls: the loaded program's, or a counting program of the attachment's own. */
function codeOf(txn: Txn, { identity, program }: OwnerRequest, hook: Hook, kind: Kind, layout: Layout): Result<Code> {
  if (program?.image !== undefined) {
    attachProg(txn, program.id, kind);
    return loadedCode(txn, program, program.image.at, hook.target, layout);
  }
  const { at: entry } = loadCountingProgram(txn, { ...kind, id: identity.id });
  return ok({ entry, prog: dataObject(txn, BPF_PROG_SIZE), program: `counting:${identity.id}`, isOwned: true });
}

/** A program that was loaded says it itself; of one that the attachment brings, the attachment does. */
const sleeps = ({ options, program }: OwnerRequest): boolean =>
  program?.isSleepable === true || flag(options, 'sleepable');

function attach(txn: Txn, request: OwnerRequest, hook: Hook): Result<Attached> {
  const { identity, options } = request;
  const { target, type, link: attachType } = hook;
  const layout = layoutOf(options);
  const prepared = request.program === undefined ? undefined : preparedProgram(request.program);
  const problem = layoutProblem(layout, target, attachType, prepared);
  if (problem !== undefined) return err(problem);
  const isSleepable = sleeps(request);
  const tracesTracing = type === 'tracing' && target.program?.type === 'tracing';
  const made = codeOf(txn, request, hook, { type, attachType, tracesTracing, isSleepable }, layout);
  if (!made.ok) return made;
  const { isOwned, ...code } = made.value;
  const link = {
    ...code,
    attachment: identity.id,
    kind: attachType,
    cookie: u64(options, 'cookie'),
    sleepable: isSleepable,
    // LSM programs may be entered again on the same CPU (bpf_prog_check_recur).
    isRecursionChecked: type === 'tracing',
  };
  const fault = linkProgram(txn, target, link, layout);
  if (fault !== undefined) return err(fault);
  return ok({ sites: [trampolineSite(txn, target.func)], owned: isOwned ? [code.entry] : [] });
}

function detach(txn: Txn, attachment: Attachment): Fault | undefined {
  const trampoline = trampolineAt(txn, attachment.sites[0] as number);
  invariant(trampoline !== undefined, () => `${attachment.id} is attached to no function`);
  const link = allLinks(trampoline).find((each) => each.attachment === attachment.id);
  invariant(link !== undefined, () => `no trampoline calls ${attachment.id}`);
  const fault = unlinkProgram(txn, trampoline.func, link.kind, attachment.id);
  if (fault !== undefined) return fault;
  if (txn.bpfProgs.has(attachment.id)) dropProgram(txn, attachment.id);
  // Code that was made for the function: nothing but its trampoline is between it and the function.
  else for (const at of attachment.owned) remove(txn, at, ['rcu_tasks']);
  return undefined;
}

function placeOf(request: OwnerRequest): Place {
  invariant(request.target.kind === 'place', 'a BPF program has one function');
  return request.target.place;
}

/** BPF_PROG_TYPE_TRACING. Source: kernel/bpf/syscall.c bpf_tracing_prog_attach (6.12). */
function tracingOwner(kind: TrampLinkKind): Owner {
  return {
    kind,
    options: OPTIONS,
    takes: ['program'],
    attach(txn, request): Result<Attached> {
      const program = { kind, sleepable: sleeps(request) };
      const target: Result<Hook['target']> =
        request.target.kind === 'program'
          ? checkProgramTarget(txn, request.target.program, program)
          : checkAttachTarget(txn.world, placeOf(request), program);
      if (!target.ok) return target;
      return attach(txn, request, { target: target.value, link: kind, type: 'tracing' });
    },
    detach,
  };
}

export const fentryOwner: Owner = tracingOwner('fentry');
export const fexitOwner: Owner = tracingOwner('fexit');
export const fmodRetOwner: Owner = tracingOwner('fmod_ret');

/**
 * BPF_PROG_TYPE_LSM with BPF_LSM_MAC: attached to the hook's own function, `bpf_lsm_file_open`; to an fexit when the hook returns nothing, else to an
 * fmod_ret. Source: kernel/bpf/bpf_lsm.c bpf_lsm_verify_prog, kernel/bpf/trampoline.c bpf_attach_type_to_tramp (6.12; 6.1 alike).
 */
export const lsmOwner: Owner = {
  kind: 'lsm',
  options: { cookie: { type: 'u64' }, sleepable: { type: 'boolean' } },
  takes: [],
  attach(txn, request): Result<Attached> {
    const target = checkLsmHook(txn.world, placeOf(request), sleeps(request));
    if (!target.ok) return target;
    const link = target.value.isVoid ? 'fexit' : 'fmod_ret';
    return attach(txn, request, { target: target.value, link, type: 'lsm' });
  },
  detach,
};
