import type { ArgType, HelperPrototype } from '../helpers/index.ts';
import { hasStructAt } from './btf-walk.ts';
import type { Env } from './env.ts';
import { accessBtf, checkAlignment, checkMapFlags, checkRegion, checkUnmoved, isFrozenReadOnly } from './memory.ts';
import { markPrecise } from './precision.ts';
import {
  BPF_MAX_VAR_OFF,
  isNull,
  MAYBE_NULL,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  PTR_TRUSTED,
  type Reg,
  type RegType,
  typeName,
  typeOf,
} from './reg.ts';
import type { VerifierMap } from './request.ts';
import { checkLockUntouched, checkSpinLock } from './spin-lock.ts';
import { checkStackRange } from './stack.ts';
import { isConst } from './tnum.ts';

/** What the arguments of one call tell of each other (struct bpf_call_arg_meta). */
export interface CallMeta {
  readonly prototype: HelperPrototype;
  map: VerifierMap | undefined;
  memSize: number;
  /** Greatest size of the memory that the helper was given. */
  sizeMax: bigint;
  /** Memory on the stack that the helper only writes. */
  written: { readonly regno: number; readonly size: number } | undefined;
  releaseRegno: number;
  refObjId: number;
  subprog: number;
  /** Of a per-CPU variable that it was given: its type. */
  retBtfId: number;
}

/** BPF_FUNC_spin_lock. */
const FUNC_SPIN_LOCK = 93;

interface Kind {
  readonly type: RegType;
  readonly flags: number;
}

const kind = (type: RegType, flags = 0): Kind => ({ type, flags });
/** mem_types; packets and buffers do not come up here, and are named in the refusal all the same. */
const MEMORY: readonly Kind[] = [
  kind('fp'),
  kind('map_key'),
  kind('map_value'),
  kind('mem'),
  kind('mem', MEM_RINGBUF),
  kind('ptr_', PTR_TRUSTED),
];
const MEMORY_TEXT = 'fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_';

/** What each type of argument takes, and how the log says it (compatible_reg_types). */
function accepted(arg: ArgType): { readonly kinds: readonly Kind[]; readonly text?: string } {
  switch (arg) {
    case 'ARG_CONST_MAP_PTR':
      return { kinds: [kind('map_ptr')] };
    case 'ARG_PTR_TO_CTX':
      return { kinds: [kind('ctx')] };
    case 'ARG_SCALAR':
    case 'ARG_CONST_SIZE':
    case 'ARG_CONST_SIZE_OR_ZERO':
    case 'ARG_CONST_ALLOC_SIZE_OR_ZERO':
      return { kinds: [kind('scalar')] };
    case 'ARG_PTR_TO_RINGBUF_MEM':
      return { kinds: [kind('mem', MEM_RINGBUF)] };
    case 'ARG_PTR_TO_FUNC':
      return { kinds: [kind('func')] };
    case 'ARG_PTR_TO_STACK_OR_NULL':
      return { kinds: [kind('fp')] };
    case 'ARG_PTR_TO_CONST_STR':
      return { kinds: [kind('map_value')] };
    case 'ARG_PTR_TO_BTF_ID':
      return { kinds: [0, PTR_TRUSTED, MEM_RCU].map((flags) => kind('ptr_', flags)) };
    case 'ARG_PTR_TO_PERCPU_BTF_ID':
      return { kinds: [0, MEM_RCU, PTR_TRUSTED].map((flags) => kind('ptr_', MEM_PERCPU | flags)) };
    case 'ARG_PTR_TO_SPIN_LOCK':
      return { kinds: [kind('map_value')], text: 'map_value, ptr_' };
    default:
      return { kinds: MEMORY, text: MEMORY_TEXT };
  }
}

const isOrNull = (arg: ArgType): boolean => arg.endsWith('_OR_NULL');
/** Memory that the helper only reads (MEM_RDONLY). */
const isReadOnly = (arg: ArgType): boolean =>
  ['ARG_PTR_TO_MEM', 'ARG_PTR_TO_MEM_OR_NULL', 'ARG_PTR_TO_CONST_STR'].includes(arg);
const isUninit = (arg: ArgType): boolean => arg.includes('_UNINIT_') || arg === 'ARG_PTR_TO_LONG';

/** A struct of the kernel, or one that begins with it. */
function checkStruct(env: Env, regno: number, { prototype }: CallMeta): void {
  const reg = env.reg(regno);
  const wanted = env.structNamed(prototype.struct ?? '');
  const { btf } = env;
  if (btf !== undefined && wanted !== undefined && hasStructAt(env, btf, reg.btfId, reg.off, wanted)) return;
  const is = env.btfName(reg.btfId);
  env.reject('EACCES', `R${regno} is of type ${is} but ${prototype.struct} is expected`);
}

/** check_reg_type. */
function checkType(env: Env, regno: number, arg: ArgType, meta: CallMeta): void {
  const reg = env.reg(regno);
  const { kinds, text } = accepted(arg);
  let { flags } = reg;
  if (isReadOnly(arg)) flags &= ~MEM_RDONLY;
  if (isOrNull(arg)) flags &= ~MAYBE_NULL;
  if (!kinds.some((each) => each.type === reg.type && each.flags === flags)) {
    const expected = text ?? kinds.map((each) => typeName(each.type, each.flags)).join(', ');
    env.reject('EACCES', `R${regno} type=${typeOf(reg)} expected=${expected}`);
  }
  if (arg === 'ARG_PTR_TO_BTF_ID') checkStruct(env, regno, meta);
  if (reg.type === 'ptr_' && kinds === MEMORY && !isReadOnly(arg)) {
    const where = `R${regno} type=${typeOf(reg)}`;
    env.reject('EACCES', `${meta.prototype.name}() may write into memory pointed by ${where}`);
  }
}

/** check_func_arg_reg_off. */
export function checkOffset(env: Env, reg: Reg, regno: number, arg: ArgType): void {
  if (arg === 'ARG_PTR_TO_RINGBUF_MEM') {
    if (reg.off !== 0)
      env.reject('EINVAL', `R${regno} must have zero offset when passed to release func or trusted arg to kfunc`);
    checkUnmoved(env, reg, regno, false);
    return;
  }
  switch (reg.type) {
    case 'fp':
    case 'map_key':
    case 'map_value':
    case 'mem':
    case 'scalar':
      return;
    case 'ptr_':
      checkUnmoved(env, reg, regno, (reg.flags & ~(PTR_TRUSTED | MEM_RCU)) === 0);
      return;
    default:
      checkUnmoved(env, reg, regno, false);
      return;
  }
}

export interface MemoryArgument {
  readonly size: number;
  readonly isWrite: boolean;
  readonly allowsZero: boolean;
  readonly isRaw: boolean;
}

/** check_helper_mem_access: `size` bytes that a helper reads or writes through a pointer. */
export function checkHelperMemory(
  env: Env,
  regno: number,
  access: MemoryArgument,
  meta: Pick<CallMeta, 'written'>,
): void {
  const { size, isWrite, allowsZero, isRaw } = access;
  const reg = env.reg(regno);
  switch (reg.type) {
    case 'map_key':
      if (isWrite) env.reject('EACCES', `R${regno} cannot write into ${typeOf(reg)}`);
      checkRegion(env, regno, reg.off, size, reg.map?.keySize ?? 0, false);
      return;
    case 'map_value': {
      const map = reg.map as VerifierMap;
      checkMapFlags(env, map, reg.off, size, isWrite);
      checkRegion(env, regno, reg.off, size, map.valueSize, allowsZero);
      checkLockUntouched(env, reg, reg.off, size);
      return;
    }
    case 'mem':
      if (isWrite && (reg.flags & MEM_RDONLY) !== 0) env.reject('EACCES', `R${regno} cannot write into ${typeOf(reg)}`);
      checkRegion(env, regno, reg.off, size, reg.memSize, allowsZero);
      return;
    case 'fp': {
      const raw = (bytes: number): void => {
        meta.written = { regno, size: bytes };
      };
      checkStackRange(env, regno, reg.off, size, { kind: 'helper', allowsZero, ...(isRaw ? { raw } : {}) });
      return;
    }
    case 'ptr_':
      accessBtf(env, regno, reg.off, size, false);
      return;
    default:
      if (allowsZero && size === 0 && isNull(reg)) return;
      env.reject('EACCES', `R${regno} type=${typeOf(reg)} expected=fp`);
  }
}

/** check_mem_size_reg: R`regno` is the size of the memory of the argument in front of it. */
function checkSize(env: Env, regno: number, memory: ArgType, allowsZero: boolean, meta: CallMeta): void {
  const reg = env.reg(regno);
  meta.sizeMax = reg.umax;
  if (reg.smin < 0n) env.reject('EACCES', `R${regno} min value is negative, either use unsigned or 'var &= const'`);
  if (reg.umin === 0n && !allowsZero)
    env.reject('EACCES', `R${regno} invalid zero-sized read: u64=[${reg.umin},${BigInt.asIntN(64, reg.umax)}]`);
  if (reg.umax >= BPF_MAX_VAR_OFF)
    env.reject('EACCES', `R${regno} unbounded memory access, use 'var &= const' or 'if (var < const)'`);
  const access = {
    size: Number(reg.umax),
    isWrite: isUninit(memory),
    allowsZero,
    isRaw: isUninit(memory) && isConst(reg.tnum),
  };
  checkHelperMemory(env, regno - 1, access, meta);
  markPrecise(env, regno);
}

/** check_reg_const_str: text in the entry of a frozen map. */
function checkConstString(env: Env, regno: number): void {
  const reg = env.reg(regno);
  const map = reg.map as VerifierMap;
  if (!isFrozenReadOnly(map)) env.reject('EACCES', `R${regno} does not point to a readonly map'`);
  if (!isConst(reg.tnum)) env.reject('EACCES', `R${regno} is not a constant address'`);
  checkRegion(env, regno, reg.off, map.valueSize - reg.off, map.valueSize, false);
  const at = reg.off + Number(reg.tnum.value);
  const bytes = map.initial ?? new Uint8Array();
  const ends = bytes.length < map.valueSize || bytes.subarray(at, map.valueSize).includes(0);
  if (!ends) env.reject('EINVAL', 'string is not zero-terminated');
}

const fixed = (size: number, isWrite: boolean, isRaw: boolean): MemoryArgument => ({
  size,
  isWrite,
  allowsZero: false,
  isRaw,
});

/** What is left to check once the register is of the right type. */
function checkByType(env: Env, index: number, regno: number, arg: ArgType, meta: CallMeta): void {
  const reg = env.reg(regno);
  switch (arg) {
    case 'ARG_CONST_MAP_PTR':
      meta.map = reg.map;
      return;
    case 'ARG_PTR_TO_MAP_KEY':
      if (meta.map === undefined) env.reject('EACCES', 'invalid map_ptr to access map->key');
      checkHelperMemory(env, regno, fixed(meta.map.keySize, false, false), meta);
      return;
    case 'ARG_PTR_TO_MAP_VALUE':
      if (meta.map === undefined) env.reject('EACCES', 'invalid map_ptr to access map->value');
      checkHelperMemory(env, regno, fixed(meta.map.valueSize, false, false), meta);
      return;
    case 'ARG_PTR_TO_LONG':
      checkHelperMemory(env, regno, fixed(8, true, true), meta);
      checkAlignment(env, reg, 0, 8, true);
      return;
    case 'ARG_CONST_SIZE':
    case 'ARG_CONST_SIZE_OR_ZERO': {
      const memory = meta.prototype.args[index - 1] ?? 'ARG_PTR_TO_MEM';
      checkSize(env, regno, memory, arg === 'ARG_CONST_SIZE_OR_ZERO', meta);
      return;
    }
    case 'ARG_CONST_ALLOC_SIZE_OR_ZERO':
      if (!isConst(reg.tnum)) env.reject('EACCES', `R${regno} is not a known constant'`);
      meta.memSize = Number(BigInt.asUintN(32, reg.tnum.value));
      markPrecise(env, regno);
      return;
    case 'ARG_PTR_TO_FUNC':
      meta.subprog = reg.subprog;
      return;
    case 'ARG_PTR_TO_CONST_STR':
      checkConstString(env, regno);
      return;
    case 'ARG_PTR_TO_PERCPU_BTF_ID':
      meta.retBtfId = reg.btfId;
      return;
    case 'ARG_PTR_TO_SPIN_LOCK':
      checkSpinLock(env, regno, reg, meta.prototype.id === FUNC_SPIN_LOCK);
      return;
    default:
      return;
  }
}

/** check_func_arg: R1 to R5, in their order. */
export function checkArgument(env: Env, index: number, meta: CallMeta): void {
  const arg = meta.prototype.args[index];
  if (arg === undefined) return;
  const regno = index + 1;
  const reg = env.readReg(regno);
  if (arg === 'ARG_ANYTHING') return;
  if (isNull(reg) && isOrNull(arg)) markPrecise(env, regno);
  else {
    checkType(env, regno, arg, meta);
    checkOffset(env, reg, regno, arg);
  }
  if (arg === 'ARG_PTR_TO_RINGBUF_MEM') {
    if (reg.refObjId === 0 && !isNull(reg))
      env.reject('EINVAL', `R${regno} must be referenced when passed to release function`);
    meta.releaseRegno = regno;
  }
  if (reg.refObjId !== 0) meta.refObjId = reg.refObjId;
  checkByType(env, index, regno, arg, meta);
}
