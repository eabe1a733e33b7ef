/**
 * Global functions of a program: callers take them by their types, and they are followed by themselves, once, for all arguments that match
 * (check_func_call, btf_check_func_arg_match, do_check_subprogs, kernel/bpf/verifier.c, 6.12).
 */
import { hasStructAt } from './btf-walk.ts';
import { type Env, Rejected } from './env.ts';
import { checkHelperMemory, checkOffset } from './helper-args.ts';
import {
  copyReg,
  isNull,
  MAYBE_NULL,
  MEM_RCU,
  mayBeNull,
  newReg,
  PTR_TRUSTED,
  type Reg,
  typeOf,
  UNKNOWN,
  unknownScalar,
} from './reg.ts';
import type { FunctionArg, FunctionTypes } from './request.ts';
import { Frame, State } from './state.ts';

const NO_TYPES: FunctionTypes = { name: '', isGlobal: false, args: [] };
const typesOf = (env: Env, subprog: number): FunctionTypes => env.request.functionTypes?.[subprog] ?? NO_TYPES;

/** check_mem_reg: memory that the function may read and write. */
function checkMemoryArg(env: Env, regno: number, size: number): void {
  const given = env.reg(regno);
  if (isNull(given)) return;
  const known = copyReg(given);
  known.flags &= ~MAYBE_NULL;
  env.setReg(regno, known);
  for (const isWrite of [false, true])
    checkHelperMemory(env, regno, { size, isWrite, allowsZero: true, isRaw: false }, { written: undefined });
  env.setReg(regno, given);
}

const TRUSTED: ReadonlySet<number> = new Set([0, PTR_TRUSTED, MEM_RCU]);

function checkTrustedArg(env: Env, regno: number, reg: Reg, arg: FunctionArg & { readonly kind: 'trusted' }): void {
  const { btf } = env;
  if (isNull(reg) && arg.mayBeNull) return;
  const flags = arg.mayBeNull ? reg.flags & ~MAYBE_NULL : reg.flags;
  if (reg.type !== 'ptr_' || !TRUSTED.has(flags))
    env.reject('EACCES', `R${regno} type=${typeOf(reg)} expected=ptr_, trusted_ptr_, rcu_ptr_`);
  const wanted = env.structNamed(arg.struct);
  if (btf === undefined || wanted === undefined || !hasStructAt(env, btf, reg.btfId, reg.off, wanted))
    env.reject('EACCES', `R${regno} is of type ${env.btfName(reg.btfId)} but ${arg.struct} is expected`);
}

function checkArg(env: Env, index: number, arg: FunctionArg): void {
  const regno = index + 1;
  const reg = env.reg(regno);
  if (arg.kind === 'scalar') {
    if (reg.type !== 'scalar') env.reject('EINVAL', `R${regno} is not a scalar`);
    return;
  }
  if (arg.kind === 'trusted') {
    checkTrustedArg(env, regno, reg, arg);
    return;
  }
  checkOffset(env, reg, regno, 'ARG_ANYTHING');
  if (arg.kind === 'ctx') {
    if (reg.type !== 'ctx') env.reject('EINVAL', `arg#${index} expects pointer to ctx`);
    return;
  }
  checkMemoryArg(env, regno, arg.size);
  if (!arg.mayBeNull && mayBeNull(reg)) env.reject('EINVAL', `arg#${index} is expected to be non-NULL`);
}

function checkArgs(env: Env, { args, problem }: FunctionTypes): void {
  if (problem !== undefined) env.reject(problem.errno, problem.text);
  for (const [index, arg] of args.entries()) checkArg(env, index, arg);
}

/** A call of a global function: what it is given has its types; what it answers is a number. */
export function callGlobal(env: Env, subprog: number): void {
  const types = typesOf(env, subprog);
  if (env.state.lock !== undefined)
    env.reject('EINVAL', 'global function calls are not allowed while holding a lock,\nuse static function instead');
  try {
    checkArgs(env, types);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    env.reject(error.errno, `Caller passes invalid args into func#${subprog} ('${types.name}')`);
  }
  if (env.log.level > 0) env.log.say(`Func#${subprog} ('${types.name}') is global and assumed valid.\n`);
  env.calledGlobals.add(subprog);
  env.clearCallerSaved(env.frame);
  env.setReg(0, UNKNOWN);
}

function registerFor(env: Env, arg: FunctionArg): Reg {
  switch (arg.kind) {
    case 'ctx':
      return newReg('ctx');
    case 'scalar':
      return unknownScalar();
    case 'mem': {
      const reg = newReg('mem');
      reg.flags = arg.mayBeNull ? MAYBE_NULL : 0;
      reg.memSize = arg.size;
      reg.id = env.newId();
      return reg;
    }
    case 'trusted': {
      const reg = newReg('ptr_');
      reg.flags = PTR_TRUSTED | (arg.mayBeNull ? MAYBE_NULL : 0);
      reg.btfId = env.structNamed(arg.struct) ?? 0;
      reg.id = env.newId();
      return reg;
    }
  }
}

/** What a function begins with that is called with anything that matches its types (do_check_common). */
export function stateByTypes(env: Env, subprog: number): State {
  const { name, args, problem } = typesOf(env, subprog);
  if (env.log.level > 0) env.log.say(`Validating ${name}() func#${subprog}...\n`);
  if (problem !== undefined) env.reject(problem.errno, problem.text);
  const frame = new Frame(0, subprog, -1);
  for (const [index, arg] of args.entries()) frame.regs[index + 1] = registerFor(env, arg);
  return new State([frame]);
}

/** do_check_subprogs: follows each global function that somebody calls, those that they call in turn included. */
export function checkGlobals(env: Env, checkPaths: (env: Env) => void): void {
  const done = new Set<number>();
  for (let isNew = true; isNew; ) {
    isNew = false;
    for (const [subprog, { start }] of env.request.functions.entries()) {
      if (!env.calledGlobals.has(subprog) || done.has(subprog)) continue;
      if (env.log.level === 1) env.log.reset(0);
      env.restart(stateByTypes(env, subprog), start);
      checkPaths(env);
      done.add(subprog);
      isNew = true;
      const { name } = typesOf(env, subprog);
      if (env.log.level > 0) env.log.say(`Func#${subprog} ('${name}') is safe for any args that match its prototype\n`);
    }
  }
}
