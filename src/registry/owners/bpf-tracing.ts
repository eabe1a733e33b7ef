import { err, type Fault, invariant, ok, type Result } from '../../base/index.ts';
import { generateCountingProgram } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import { type BpfTarget, checkAttachTarget, checkLsmHook } from '../bpf/attach-target.ts';
import { allLinks, linkProgram, trampolineSite, unlinkProgram } from '../bpf/trampoline.ts';
import type { Attachment, BpfTrampoline, TrampLink, TrampLinkKind } from '../model/state.ts';
import type { Place } from '../place.ts';
import { callsGetFuncIp, preparedProgram } from '../program/load.ts';
import type { Txn } from '../txn.ts';
import { flag, type OptionSpecs, u64 } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

/** sizeof(struct bpf_prog) and its aux, rounded up; only its address matters. */
const BPF_PROG_SIZE = 256;
const PROGRAM_CODE_SIZE = 128;

const OPTIONS: OptionSpecs = {
  cookie: { type: 'u64' },
  sleepable: { type: 'boolean' },
  layout: { type: 'enum', values: ['linux', 'seed'], built: ['linux', 'seed'] },
};

const layoutOf = (options: Readonly<Record<string, unknown>>): BpfTrampoline['layout'] =>
  options['layout'] === 'seed' ? 'seed' : 'linux';

/** What a kind of BPF program attaches to, and how its trampoline calls it. */
interface Hook {
  readonly target: BpfTarget;
  readonly link: TrampLinkKind;
  /** False for LSM programs, which may be entered again on the same CPU (bpf_prog_check_recur). */
  readonly isRecursionChecked: boolean;
}

/** The code that the trampoline calls: the loaded program's, or a counting program of the attachment's own. */
function codeOf(txn: Txn, request: OwnerRequest): Pick<TrampLink, 'entry' | 'prog' | 'program' | 'callsGetFuncIp'> {
  const { identity, program } = request;
  if (program?.image !== undefined) {
    const { id, prog, image } = program;
    return { entry: image.at, prog, program: id, callsGetFuncIp: callsGetFuncIp(preparedProgram(program)) };
  }
  const { codeLayout, cpu } = txn.world;
  const counter = dataObject(txn, 8);
  const code = { size: PROGRAM_CODE_SIZE, what: 'bpf_prog', attachment: identity.id, counter };
  const entry = install(txn, code, (at) => generateCountingProgram({ layout: codeLayout, at, counter, cpu }));
  return { entry, prog: dataObject(txn, BPF_PROG_SIZE), program: `counting:${identity.id}` };
}

function attach(txn: Txn, request: OwnerRequest, hook: Hook): Result<Attached> {
  const { identity, options } = request;
  const code = codeOf(txn, request);
  const link = {
    ...code,
    attachment: identity.id,
    kind: hook.link,
    cookie: u64(options, 'cookie'),
    sleepable: flag(options, 'sleepable'),
    isRecursionChecked: hook.isRecursionChecked,
  };
  const fault = linkProgram(txn, hook.target, link, layoutOf(options));
  if (fault !== undefined) return err(fault);
  return ok({
    sites: [trampolineSite(txn, hook.target.func)],
    owned: request.program === undefined ? [code.entry] : [],
  });
}

function detach(txn: Txn, attachment: Attachment): Fault | undefined {
  const func = txn.world.image.symbols.containing(attachment.sites[0] as number)?.offset;
  invariant(func !== undefined, () => `${attachment.id} is attached to no function`);
  const link = allLinks(txn.trampoline(func)).find((each) => each.attachment === attachment.id);
  invariant(link !== undefined, () => `no trampoline calls ${attachment.id}`);
  const fault = unlinkProgram(txn, func, link.kind, attachment.id);
  if (fault !== undefined) return fault;
  for (const at of attachment.owned) remove(txn, at, ['rcu_tasks_trace', 'rcu']);
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
    takes: [],
    attach(txn, request): Result<Attached> {
      const program = { kind, sleepable: flag(request.options, 'sleepable') };
      const target = checkAttachTarget(txn.world, placeOf(request), program);
      if (!target.ok) return target;
      return attach(txn, request, { target: target.value, link: kind, isRecursionChecked: true });
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
  options: { cookie: { type: 'u64' }, sleepable: { type: 'boolean', isBuilt: false } },
  takes: [],
  attach(txn, request): Result<Attached> {
    const target = checkLsmHook(txn.world, placeOf(request));
    if (!target.ok) return target;
    const link = target.value.isVoid ? 'fexit' : 'fmod_ret';
    return attach(txn, request, { target: target.value, link, isRecursionChecked: false });
  },
  detach,
};
