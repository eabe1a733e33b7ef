/**
 * May a BPF program attach to this function of a BPF program?
 * Source: kernel/bpf/verifier.c bpf_check_attach_target with tgt_prog, kernel/bpf/btf.c btf_check_func_type_match (6.12; 6.1 where it differs).
 */
import { err, ok, type Result } from '../../base/index.ts';
import { TRACING_NESTS } from '../kernels/bpf-facts.ts';
import { UNKNOWN } from '../kernels/fact.ts';
import type { BpfProg, BpfProgFunction, TrampLinkKind } from '../model/state.ts';
import { BPF_NOT_A_FUNCTION_ENTRY, BPF_NOT_SLEEPABLE } from '../rules/bpf.ts';
import {
  BPF_EXTENDS_TRACING,
  BPF_FMOD_RET_PROGRAM,
  BPF_NESTED,
  BPF_PROGRAM_NO_BTF,
  BPF_PROGRAM_NO_FUNCTION,
  BPF_PROGRAM_UNKNOWN,
  BPF_RECURSIVE,
  FREPLACE_PROTOTYPE,
  FREPLACE_STATIC,
} from '../rules/bpf-program.ts';
import { unsettled } from '../rules/kernel.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import type { BpfTarget } from './attach-target.ts';
import { functionOf, type ProgramPlace } from './programs.ts';

export interface ProgramTarget extends BpfTarget {
  readonly program: BpfProg;
  readonly programFunction: BpfProgFunction;
}

/** What attaches: a program that takes the function's place, or one that traces it. */
export interface Attaching {
  readonly kind: 'freplace' | TrampLinkKind;
  readonly sleepable: boolean;
}

type Check = (txn: Txn, target: ProgramTarget, attaching: Attaching) => Result<undefined>;

const GRANTED: Result<undefined> = ok(undefined);
const WORD = 8;

/** How often tracing programs may be attached to each other, and that an extension is not extended. */
const nesting: Check = (txn, { program, name }, { kind }) => {
  if (kind === 'freplace') {
    if (program.type === 'ext')
      return err(refuse(BPF_RECURSIVE, { detail: `${name} is a freplace program itself.`, place: name }));
    const isTraced = program.attachType === 'fentry' || program.attachType === 'fexit';
    return isTraced
      ? err(refuse(BPF_EXTENDS_TRACING, { detail: `${name} is an ${program.attachType} program.`, place: name }))
      : GRANTED;
  }
  if (program.type !== 'tracing') return GRANTED;
  const detail = `${name} is a tracing program.`;
  const nests = txn.world.fact(TRACING_NESTS);
  if (nests === UNKNOWN) return err(unsettled(TRACING_NESTS, { detail, place: name }));
  if (nests === 'never') return err(refuse(BPF_RECURSIVE, { detail, place: name }));
  return program.tracesTracing
    ? err(refuse(BPF_NESTED, { detail: `${name} traces a tracing program itself.`, place: name }))
    : GRANTED;
};

const linkage: Check = (_txn, { name, programFunction }, { kind }) =>
  kind === 'freplace' && !programFunction.isGlobal
    ? err(refuse(FREPLACE_STATIC, { detail: `${name} is a static function.`, place: name }))
    : GRANTED;

const kinds: Check = (_txn, { name }, { kind, sleepable }) => {
  if (kind === 'fmod_ret')
    return err(refuse(BPF_FMOD_RET_PROGRAM, { detail: `${name} is a BPF program.`, place: name }));
  if (kind !== 'freplace' && sleepable)
    return err(refuse(BPF_NOT_SLEEPABLE, { detail: `${name} is a BPF program.`, place: name }));
  return GRANTED;
};

export function checkProgramTarget(txn: Txn, place: ProgramPlace, attaching: Attaching): Result<ProgramTarget> {
  const program = txn.bpfProgs.get(place.id);
  if (program === undefined)
    return err(
      refuse(BPF_PROGRAM_UNKNOWN, { detail: `There is no BPF program ${place.id}.`, place: `prog:${place.id}` }),
    );
  const name = `prog:${place.id}${place.func === undefined ? '' : `:${place.func}`}`;
  if (place.delta !== 0)
    return err(
      refuse(BPF_NOT_A_FUNCTION_ENTRY, {
        detail: `${name}+0x${place.delta.toString(16)} is not a function.`,
        place: name,
      }),
    );
  if (!program.hasBtf) return err(refuse(BPF_PROGRAM_NO_BTF, { detail: `${name} has no BTF.`, place: name }));
  const programFunction = functionOf(program, place.func);
  if (programFunction === undefined)
    return err(
      refuse(BPF_PROGRAM_NO_FUNCTION, { detail: `${program.id} has no function ${place.func}.`, place: name }),
    );
  const argSizes = programFunction.args.map((arg) => (arg === 'int' ? WORD / 2 : WORD));
  const target = { func: programFunction.at, name, argSizes, program, programFunction };
  for (const check of [linkage, nesting, kinds]) {
    const checked = check(txn, target, attaching);
    if (!checked.ok) return checked;
  }
  return ok(target);
}

/** btf_check_func_type_match: an extension has the parameters of what it takes the place of. */
export function checkExtension(
  extension: Pick<BpfProgFunction, 'name' | 'args'>,
  target: Pick<BpfProgFunction, 'name' | 'args'>,
): Result<undefined> {
  const differs = (detail: string): Result<undefined> =>
    err(refuse(FREPLACE_PROTOTYPE, { detail, place: target.name }));
  const { length } = extension.args;
  if (length !== target.args.length)
    return differs(`${extension.name}() has ${length} args while ${target.name}() has ${target.args.length} args.`);
  const text = { ctx: 'PTR', int: 'INT', mem: 'PTR' } as const;
  for (const [index, arg] of extension.args.entries()) {
    const wanted = target.args[index];
    if (wanted !== undefined && arg !== wanted)
      return differs(`arg${index} in ${extension.name}() is ${text[arg]} while ${target.name}() has ${text[wanted]}.`);
  }
  return GRANTED;
}
