/**
 * May a BPF tracing program attach to this function, and how many words of arguments has it?
 * Source: kernel/bpf/verifier.c bpf_check_attach_target, check_attach_btf_id, btf_id_deny; kernel/bpf/btf.c btf_distill_func_proto (6.12).
 */
import { err, ok, type Result } from '../../base/index.ts';
import { type FunctionPrototype, moduleAt } from '../../image/index.ts';
import { DISABLED_HOOKS } from '../../jit/index.ts';
import {
  FMOD_RET_ID_SETS,
  LARGE_RETURN_REFUSED,
  LSM_HOOKS_DISABLED,
  LSM_SLEEPABLE_HOOKS,
  NORETURN_REFUSED,
  RCU_READ_LOCK,
  TRAMPOLINE_STRUCTS,
  TRAMPOLINE_WORDS_MAX,
} from '../kernels/bpf-facts.ts';
import { type KernelFact, UNKNOWN } from '../kernels/fact.ts';
import type { TrampLinkKind } from '../model/state.ts';
import { type Place, placeName, scopeOf } from '../place.ts';
import {
  BPF_DENY_LIST,
  BPF_HANGS,
  BPF_LSM_DISABLED,
  BPF_LSM_NOT_A_HOOK,
  BPF_NO_BTF,
  BPF_NO_SYMBOL,
  BPF_NORETURN,
  BPF_NOT_A_FUNCTION_ENTRY,
  BPF_NOT_MODIFIABLE,
  BPF_NOT_SLEEPABLE,
  BPF_PROTOTYPE,
  BPF_RETURN_TOO_LARGE,
} from '../rules/bpf.ts';
import { KERNEL_UNSETTLED, unsettled } from '../rules/kernel.ts';
import { type Rule, refuse } from '../rules/rule.ts';
import type { World } from '../world.ts';
import { isSleepableHook } from './lsm-hooks.ts';

const DENIED = new Set([
  'migrate_disable',
  'migrate_enable',
  'rcu_read_unlock_strict',
  'preempt_count_add',
  'preempt_count_sub',
  '__rcu_read_lock',
  '__rcu_read_unlock',
]);

/** MAX_BPF_FUNC_ARGS. */
const MAX_ARGS = 12;
const MAX_ARG_SIZE = 16;
const WORD = 8;

interface TargetProblem {
  readonly rule: Rule;
  readonly detail: string;
  readonly errno?: 'ENOTSUPP' | 'ENOENT';
  /** What no source settles, when the rule is that. */
  readonly fact?: KernelFact<unknown>;
}

const unknownOf = (fact: KernelFact<unknown>, detail: string): TargetProblem => ({
  rule: KERNEL_UNSETTLED,
  detail,
  fact,
});

export interface BpfTarget {
  readonly func: number;
  readonly name: string;
  /** Bytes of each parameter. */
  readonly argSizes: readonly number[];
}

function prototypeProblem(
  world: World,
  prototype: FunctionPrototype,
): Pick<TargetProblem, 'detail' | 'errno'> | undefined {
  const detail = shapeProblem(world, prototype);
  if (detail !== undefined) return { detail };
  const most = world.fact(TRAMPOLINE_WORDS_MAX);
  const words = prototype.params.reduce((sum, param) => sum + Math.ceil(param.size / WORD), 0);
  return words > most
    ? { detail: `it has ${words} words of arguments, ${world.kernel} saves at most ${most}`, errno: 'ENOTSUPP' }
    : undefined;
}

function shapeProblem(world: World, prototype: FunctionPrototype): string | undefined {
  if (prototype.isVariadic) return 'it takes variable arguments';
  if (prototype.params.length > MAX_ARGS) return `it has ${prototype.params.length} arguments, at most ${MAX_ARGS} fit`;
  const large = prototype.params.find((param) => param.size > MAX_ARG_SIZE);
  if (large !== undefined)
    return `argument ${large.name || large.type} has ${large.size} bytes, at most ${MAX_ARG_SIZE} fit`;
  if (prototype.result.kind === 'struct' || prototype.result.kind === 'union') return 'it returns a structure by value';
  const structure = prototype.params.find(({ kind }) => kind === 'struct' || kind === 'union');
  if (structure !== undefined && !world.fact(TRAMPOLINE_STRUCTS))
    return `argument ${structure.name || structure.type} is a structure, which ${world.kernel} does not save`;
  return undefined;
}

/** Everything but what the bytes at the site say; shared by attaching and by the listing of what is attachable. */
export function functionProblem(world: World, name: string): TargetProblem | undefined {
  const { btf, symbols } = world.image;
  if (btf?.id(name) === undefined) {
    const isUnknown = symbols.byName(name).length === 0;
    if (isUnknown) return { rule: BPF_NO_SYMBOL, detail: `${name} is not a function of this kernel.` };
    if (btf === undefined) return { rule: BPF_NO_BTF, detail: `${world.image.release} has no BTF.` };
    // The program cannot even name the function: who looks its BTF id up finds none (recorded on 6.1 and 6.12).
    return { rule: BPF_NO_BTF, detail: `BTF of ${world.image.release} has no function ${name}.`, errno: 'ENOENT' };
  }
  if (symbols.offsetOf(name) === undefined)
    return { rule: BPF_NO_SYMBOL, detail: `BTF knows ${name}, but kallsyms does not: it was inlined or dropped.` };
  const prototype = btf.prototype(name);
  const problem =
    prototype === undefined ? { detail: 'BTF has no usable prototype' } : prototypeProblem(world, prototype);
  if (problem !== undefined)
    return {
      ...problem,
      rule: BPF_PROTOTYPE,
      detail: `${name} cannot have a BPF trampoline: ${problem.detail}.`,
    };
  if (name === '__rcu_read_lock' || name === '__rcu_read_unlock') {
    const denied = world.fact(RCU_READ_LOCK);
    if (denied === 'hangs')
      return { rule: BPF_HANGS, detail: `Attaching to ${name} never comes back on ${world.kernel}.` };
    if (denied === UNKNOWN) return unknownOf(RCU_READ_LOCK, `${name} is called by every BPF trampoline.`);
  }
  if (DENIED.has(name)) return { rule: BPF_DENY_LIST, detail: `${name} is called by every BPF trampoline.` };
  return undefined;
}

/** What the program wants besides the function. */
export interface BpfProgramKind {
  readonly kind: TrampLinkKind;
  readonly sleepable: boolean;
}

/** noreturn_deny: functions that fexit and fmod_ret would wait for in vain (6.12). */
const NORETURN = new Set([
  '__ia32_sys_exit',
  '__ia32_sys_exit_group',
  '__kunit_abort',
  'kunit_try_catch_throw',
  '__module_put_and_kthread_exit',
  '__x64_sys_exit',
  '__x64_sys_exit_group',
  'do_exit',
  'do_group_exit',
  'kthread_complete_and_exit',
  'kthread_exit',
  'make_task_dead',
]);

/** KF_SLEEPABLE of include/linux/btf.h (6.12). */
const KF_SLEEPABLE = 1 << 5;

/** Whether programs that sleep may be attached to a function; where no source tells of a hook, attaching says so. */
export function mayProgramsSleep(world: World, name: string): boolean {
  if (name.startsWith('bpf_lsm_')) return isSleepableHook(world, name) !== false;
  return programProblem(world, name, { kind: 'fentry', sleepable: true }) === undefined;
}

/** What fexit, fmod_ret and sleepable programs need on top. */
export function programProblem(world: World, name: string, program: BpfProgramKind): TargetProblem | undefined {
  const { btf } = world.image;
  const id = btf?.id(name);
  const flags = id === undefined || !world.fact(FMOD_RET_ID_SETS) ? undefined : world.image.fmodretIds.get(id);
  const result = btf?.prototype(name)?.result;
  if (program.kind !== 'fentry' && result !== undefined && result.size > WORD) {
    const isRefused = world.fact(LARGE_RETURN_REFUSED);
    const detail = `${name} returns ${result.size} bytes.`;
    if (isRefused === UNKNOWN) return unknownOf(LARGE_RETURN_REFUSED, detail);
    if (isRefused) return { rule: BPF_RETURN_TOO_LARGE, detail };
  }
  if (program.sleepable && (flags === undefined || (flags & KF_SLEEPABLE) === 0))
    return { rule: BPF_NOT_SLEEPABLE, detail: `${name} is not marked as a function where programs may sleep.` };
  if (program.kind === 'fmod_ret' && !name.startsWith('security_') && flags === undefined)
    return { rule: BPF_NOT_MODIFIABLE, detail: `${name} is not modifiable by BPF.` };
  if (program.kind !== 'fentry' && world.fact(NORETURN_REFUSED) && NORETURN.has(name))
    return { rule: BPF_NORETURN, detail: `${name} never returns.` };
  return undefined;
}

/** The kernel's own types, or those of the module that has the function: a program names the object that it means. */
function objectOf(world: World, place: Place): World | undefined {
  if (place.kind === 'symbol') return scopeOf(world, place);
  const module = moduleAt(world.image, Number(place.address - world.image.base));
  return module === undefined ? world : scopeOf(world, { kind: 'symbol', module: module.name, name: '', delta: 0 });
}

export function checkAttachTarget(kernel: World, place: Place, program: BpfProgramKind): Result<BpfTarget> {
  const world = objectOf(kernel, place);
  if (world === undefined && place.kind === 'symbol')
    return err(
      refuse(BPF_NO_SYMBOL, {
        errno: 'ENOENT',
        detail: `The module ${place.module} is not loaded.`,
        place: placeName(place),
      }),
    );
  return checkTarget(world ?? kernel, place, program);
}

function checkTarget(world: World, place: Place, program: BpfProgramKind): Result<BpfTarget> {
  let name: string;
  if (place.kind === 'symbol') {
    if (place.delta !== 0)
      return err(
        refuse(BPF_NOT_A_FUNCTION_ENTRY, {
          detail: `${place.name}${place.delta > 0 ? '+' : '-'}0x${Math.abs(place.delta).toString(16)} is not a function.`,
          place: place.name,
        }),
      );
    name = place.name;
  } else {
    const offset = Number(place.address - world.image.base);
    const symbol = world.image.symbols.containing(offset);
    if (symbol === undefined || symbol.address !== place.address)
      return err(
        refuse(BPF_NOT_A_FUNCTION_ENTRY, { detail: `0x${place.address.toString(16)} is not the start of a function.` }),
      );
    name = symbol.name;
  }
  const problem = functionProblem(world, name) ?? programProblem(world, name, program);
  if (problem !== undefined) {
    const near = problem.rule === BPF_NO_SYMBOL ? world.image.symbols.near(name, 3) : [];
    if (problem.fact !== undefined) return err(unsettled(problem.fact, { detail: problem.detail, place: name }));
    return err(
      refuse(problem.rule, {
        detail: problem.detail,
        place: name,
        ...(problem.errno === undefined ? {} : { errno: problem.errno }),
        ...(near.length > 0 ? { remedies: [`Did you mean ${near.join(', ')}?`] } : {}),
      }),
    );
  }
  const params = world.image.btf?.prototype(name)?.params ?? [];
  return ok({
    func: world.image.symbols.offsetOf(name) as number,
    name,
    argSizes: params.map((param) => param.size),
  });
}

/** The function of an LSM hook, and whether the hook returns anything. */
export function checkLsmHook(
  world: World,
  place: Place,
  sleepable = false,
): Result<BpfTarget & { readonly isVoid: boolean }> {
  const target = checkAttachTarget(world, place, { kind: 'fentry', sleepable: false });
  if (!target.ok) return target;
  const { name } = target.value;
  if (!name.startsWith('bpf_lsm_'))
    return err(refuse(BPF_LSM_NOT_A_HOOK, { detail: `${name} is not the function of an LSM hook.`, place: name }));
  if (DISABLED_HOOKS.has(name) && world.fact(LSM_HOOKS_DISABLED) === UNKNOWN)
    return err(unsettled(LSM_HOOKS_DISABLED, { detail: `${name} returns more than a verdict.`, place: name }));
  if (DISABLED_HOOKS.has(name))
    return err(refuse(BPF_LSM_DISABLED, { detail: `BPF must not answer the hook of ${name}.`, place: name }));
  const maySleep = sleepable ? isSleepableHook(world, name) : true;
  if (maySleep === UNKNOWN)
    return err(unsettled(LSM_SLEEPABLE_HOOKS, { detail: `${name} may sleep in some kernels.`, place: name }));
  if (!maySleep)
    return err(refuse(BPF_NOT_SLEEPABLE, { detail: `${name} is called where nobody may sleep.`, place: name }));
  const isVoid = world.image.btf?.prototype(name)?.result.kind === 'void';
  return ok({ ...target.value, isVoid });
}
