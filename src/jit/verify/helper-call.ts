import { stripBtf } from '../../image/index.ts';
import type { HelperPrototype } from '../helpers/index.ts';
import { MAP_FLAGS, MAP_TYPE_NUMBERS } from '../maps/index.ts';
import { checkBounds } from './alu.ts';
import { syncBounds } from './bounds.ts';
import { isRecord, resolvedSize } from './btf-walk.ts';
import { fillLoopCallback, fillMapCallback, fillVmaCallback, pushCallback } from './calls.ts';
import { MAX_ERRNO } from './ctx-access.ts';
import type { Env } from './env.ts';
import { type CallMeta, checkArgument } from './helper-args.ts';
import { memoryOfType } from './kernel-names.ts';
import { checkMemory } from './memory.ts';
import { markPrecise } from './precision.ts';
import { acquire, leaks, release } from './references.ts';
import { isNull, MAYBE_NULL, MEM_RINGBUF, NOT_INIT, newReg, PTR_TRUSTED, type RegDraft, unknownScalar } from './reg.ts';
import type { VerifierMap } from './request.ts';

/** BPF_FUNC_* (include/uapi/linux/bpf.h). */
const FUNC = {
  map_lookup_elem: 1,
  map_update_elem: 2,
  map_delete_elem: 3,
  get_smp_processor_id: 8,
  tail_call: 12,
  probe_read_str: 45,
  get_stack: 67,
  probe_read_user_str: 114,
  probe_read_kernel_str: 115,
  ringbuf_reserve: 131,
  get_task_stack: 141,
  for_each_map_elem: 164,
  get_func_ip: 173,
  find_vma: 180,
  loop: 181,
} as const;

/** One more than the last helper of 6.12 (__BPF_FUNC_MAX_ID). */
const FUNC_MAX_ID = 212;

/** Helpers that call a function of the program before they return (is_sync_callback_calling_function). */
export const callsBack = (id: number): boolean =>
  id === FUNC.for_each_map_elem || id === FUNC.loop || id === FUNC.find_vma;

/** func_id_name. */
const nameOf = (prototype: HelperPrototype): string => `${prototype.name}#${prototype.id}`;

/** btf_allowlist_d_path (kernel/trace/bpf_trace.c). */
const WITH_PATHS: ReadonlySet<string> = new Set([
  'security_file_permission',
  'security_inode_getattr',
  'security_file_open',
  'security_path_truncate',
  'vfs_truncate',
  'vfs_fallocate',
  'dentry_open',
  'vfs_getattr',
  'filp_close',
]);

/** bpf_d_path_allowed: functions that are called with files in use, and hooks in which programs may sleep. */
function maySeePaths({ request: { type, target } }: Env): boolean {
  if (target === undefined || type === 'tp_btf') return false;
  return type === 'lsm' ? target.maySleep === true : WITH_PATHS.has(target.name);
}

function prototypeOf(env: Env, id: number): HelperPrototype {
  if (id < 0 || id >= FUNC_MAX_ID) return env.reject('EINVAL', `invalid func unknown#${id}`);
  const prototype = env.request.helper(id);
  if (prototype === undefined) {
    const name = env.request.helperName?.(id) ?? 'unknown';
    return env.reject('EINVAL', `program of this type cannot use helper ${name}#${id}`);
  }
  const { type } = env.request;
  // An extension may call what the program may that it extends.
  if (type !== 'freplace' && !prototype.programTypes.includes(type))
    return env.reject('EINVAL', `program of this type cannot use helper ${nameOf(prototype)}`);
  if (prototype.gplOnly && env.request.isGpl === false)
    return env.reject('EINVAL', 'cannot call GPL-restricted function from non-GPL compatible program');
  if (prototype.needsPath === true && !maySeePaths(env))
    return env.reject('EINVAL', 'helper call is not allowed in probe');
  if (prototype.mightSleep === true && env.request.isSleepable !== true)
    return env.reject('EINVAL', 'helper call might sleep in a non-sleepable prog');
  return prototype;
}

/** record_func_map: what a map that programs may not write is not used for. */
function checkMapUse(env: Env, id: number, map: VerifierMap | undefined): void {
  const writes = id === FUNC.map_update_elem || id === FUNC.map_delete_elem;
  if (map !== undefined && writes && (map.flags & MAP_FLAGS.BPF_F_RDONLY_PROG) !== 0)
    env.reject('EACCES', 'write into map forbidden');
}

/** check_map_func_compatibility. */
function checkMapType(env: Env, prototype: HelperPrototype, map: VerifierMap | undefined): void {
  if (map === undefined || prototype.maps === undefined || prototype.maps.includes(map.type)) return;
  env.reject('EINVAL', `cannot pass map_type ${MAP_TYPE_NUMBERS[map.type]} into func ${nameOf(prototype)}`);
}

function releaseArgument(env: Env, { prototype, releaseRegno, refObjId }: CallMeta): void {
  if (releaseRegno === 0) return;
  const isReleased = refObjId !== 0 ? release(env, refObjId) : isNull(env.reg(releaseRegno));
  if (!isReleased) env.reject('EINVAL', `func ${nameOf(prototype)} reference has not been acquired before`);
}

/** What single helpers ask for beside their arguments. */
function checkSpecial(env: Env, slot: number, { prototype, map, subprog }: CallMeta): void {
  switch (prototype.id) {
    case FUNC.tail_call:
      if (leaks(env)) env.reject('EINVAL', 'tail_call would lead to reference leak');
      return;
    case FUNC.for_each_map_elem:
      if (map !== undefined) pushCallback(env, slot, subprog, fillMapCallback(map));
      return;
    case FUNC.find_vma:
      pushCallback(env, slot, subprog, fillVmaCallback(env.structNamed('vm_area_struct') ?? 0));
      return;
    case FUNC.loop: {
      if (isNull(env.reg(4))) markPrecise(env, 4);
      markPrecise(env, 1);
      const { frame } = env;
      if (BigInt(frame.callbackDepth) < env.reg(1).umax) pushCallback(env, slot, subprog, fillLoopCallback);
      else {
        frame.callbackDepth = 0;
        if (env.log.level === 2) env.log.say(`frame${frame.frameno} bpf_loop iteration limit reached\n`);
      }
      return;
    }
    default:
      return;
  }
}

/** One CPU's of a per-CPU variable. */
function perCpuResult(env: Env, { prototype, retBtfId }: CallMeta): RegDraft {
  const { btf } = env;
  if (btf === undefined) return env.reject('EINVAL', 'kernel is missing BTF');
  const bare = stripBtf(btf, retBtfId);
  if (!isRecord(btf, bare) && resolvedSize(btf, bare) === undefined)
    env.reject('EINVAL', `unable to resolve the size of type '${btf.name(bare)}': -22`);
  const isOrNull = prototype.ret === 'RET_PTR_TO_MEM_OR_BTF_ID_OR_NULL';
  const reg = memoryOfType(btf, retBtfId, isOrNull ? MAYBE_NULL : 0);
  if (isOrNull) reg.id = env.newId();
  return reg;
}

/** What the helper leaves in R0. */
function result(env: Env, slot: number, meta: CallMeta): RegDraft | undefined {
  const { prototype } = meta;
  switch (prototype.ret) {
    case 'RET_INTEGER':
      return unknownScalar();
    case 'RET_VOID':
      return undefined;
    case 'RET_PTR_TO_MAP_VALUE_OR_NULL': {
      const reg = newReg('map_value');
      reg.map = meta.map;
      reg.flags = MAYBE_NULL;
      reg.id = env.newId();
      return reg;
    }
    case 'RET_PTR_TO_RINGBUF_MEM_OR_NULL': {
      const reg = newReg('mem');
      reg.flags = MAYBE_NULL | MEM_RINGBUF;
      reg.memSize = meta.memSize;
      env.newId();
      reg.id = reg.refObjId = acquire(env, slot);
      return reg;
    }
    case 'RET_PTR_TO_MEM_OR_BTF_ID':
    case 'RET_PTR_TO_MEM_OR_BTF_ID_OR_NULL':
      return perCpuResult(env, meta);
    case 'RET_PTR_TO_PT_REGS': {
      const reg = newReg('ptr_');
      reg.btfId = env.structNamed('pt_regs') ?? 0;
      return reg;
    }
    case 'RET_PTR_TO_BTF_ID_TRUSTED': {
      const reg = newReg('ptr_');
      reg.flags = PTR_TRUSTED;
      reg.btfId = env.structNamed('task_struct') ?? 0;
      return reg.btfId === 0 ? unknownScalar() : reg;
    }
  }
}

/** do_refine_retval_range: numbers that some helpers are known not to leave. */
function refine(env: Env, reg: RegDraft, { prototype, sizeMax }: CallMeta): void {
  switch (prototype.id) {
    case FUNC.get_stack:
    case FUNC.get_task_stack:
    case FUNC.probe_read_str:
    case FUNC.probe_read_kernel_str:
    case FUNC.probe_read_user_str:
      reg.smax = sizeMax;
      reg.s32max = Number(BigInt.asIntN(32, sizeMax));
      reg.smin = BigInt(-MAX_ERRNO);
      reg.s32min = -MAX_ERRNO;
      syncBounds(reg);
      return;
    case FUNC.get_smp_processor_id: {
      if (env.request.cpus === undefined) return;
      const last = env.request.cpus - 1;
      reg.umin = reg.smin = 0n;
      reg.umax = reg.smax = BigInt(last);
      reg.u32min = reg.s32min = 0;
      reg.u32max = reg.s32max = last;
      syncBounds(reg);
      return;
    }
    default:
      return;
  }
}

const ARGUMENTS_MAX = 5;

/** check_helper_call: a call of a function of the kernel, by its number. */
export function callHelper(env: Env, slot: number): void {
  const id = env.code.imm[slot] as number;
  const prototype = prototypeOf(env, id);
  const meta: CallMeta = {
    prototype,
    map: undefined,
    memSize: 0,
    sizeMax: 0n,
    written: undefined,
    releaseRegno: 0,
    refObjId: 0,
    subprog: 0,
    retBtfId: 0,
  };
  for (let index = 0; index < ARGUMENTS_MAX; index++) checkArgument(env, index, meta);
  checkMapUse(env, id, meta.map);
  if (id === FUNC.tail_call) markKey(env, meta.map);
  const { written } = meta;
  for (let byte = 0; byte < (written?.size ?? 0); byte++)
    checkMemory(env, { regno: written?.regno ?? 0, off: byte, size: 1, isWrite: true });
  releaseArgument(env, meta);
  checkSpecial(env, slot, meta);
  env.clearCallerSaved(env.frame);
  const value = result(env, slot, meta);
  if (value !== undefined) refine(env, value, meta);
  env.setReg(0, value ?? NOT_INIT);
  if (value !== undefined) checkBounds(env, 0);
  checkMapType(env, prototype, meta.map);
  if (id === FUNC.get_func_ip) env.callsGetFuncIp = true;
}

/** A constant index of a tail call is compared between paths (record_func_key). */
function markKey(env: Env, map: VerifierMap | undefined): void {
  const index = env.reg(3);
  const isKnown = index.type === 'scalar' && index.tnum.mask === 0n;
  if (map !== undefined && isKnown && index.tnum.value < BigInt(map.maxEntries)) markPrecise(env, 3);
}
