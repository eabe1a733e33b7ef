import { MAP_FLAGS, MAP_TYPE_NUMBERS } from '../maps/index.ts';
import { type Bounds, S64_MIN, syncBounds } from './bounds.ts';
import { walkStruct } from './btf-walk.ts';
import { coerceToSize, coerceToSizeSigned } from './coerce.ts';
import { ctxAccess } from './ctx-access.ts';
import type { Env } from './env.ts';
import { tnumText } from './print-state.ts';
import {
  BPF_MAX_VAR_OFF,
  isTrusted,
  knownScalar,
  MAYBE_NULL,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_USER,
  mayBeNull,
  newReg,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  type Reg,
  typeOf,
  unknownScalar,
} from './reg.ts';
import type { VerifierMap } from './request.ts';
import { checkLockUntouched } from './spin-lock.ts';
import { checkStackBounds, readStack, type Stored, writeStack } from './stack.ts';
import { isAligned, isConst, tnumAdd, tnumConst } from './tnum.ts';

export interface Access {
  readonly regno: number;
  /** Of the instruction, without the pointer's own. */
  readonly off: number;
  readonly size: 1 | 2 | 4 | 8;
  readonly isWrite: boolean;
  /** Of a load: where it goes; undefined: only whether it may. */
  readonly into?: number | undefined;
  readonly stored?: Stored;
  readonly isSigned?: boolean;
  /** Atomic operations have to be aligned wherever they go. */
  readonly isStrict?: boolean;
}

const ALIGNMENT_NAMES: Readonly<Record<string, string>> = {
  map_key: 'key ',
  map_value: 'value ',
  ctx: 'context ',
  fp: 'stack ',
};

/** check_ptr_alignment: on x86 only the stack asks for it, and atomic operations. */
export function checkAlignment(env: Env, reg: Reg, off: number, size: number, isStrict: boolean): void {
  if ((!isStrict && reg.type !== 'fp') || size === 1) return;
  if (isAligned(tnumAdd(reg.tnum, tnumConst(BigInt(reg.off + off))), size)) return;
  const where = `${tnumText(reg.tnum)}+${reg.off}+${off} size ${size}`;
  env.reject('EACCES', `misaligned ${ALIGNMENT_NAMES[reg.type] ?? ''}access off ${where}`);
}

/** __check_mem_access; answers what is wrong. */
function regionProblem(reg: Reg, off: bigint, size: number, limit: number, allowsZero: boolean): string | undefined {
  const hasSize = size > 0 || (size === 0 && allowsZero);
  if (off >= 0n && hasSize && off + BigInt(size) <= BigInt(limit)) return undefined;
  const at = `off=${Number(BigInt.asIntN(32, off))} size=${size}`;
  if (reg.type === 'map_key') return `invalid access to map key, key_size=${limit} ${at}`;
  if (reg.type === 'map_value') return `invalid access to map value, value_size=${limit} ${at}`;
  return `invalid access to memory, mem_size=${limit} ${at}`;
}

/** check_mem_region_access: an access of `size` bytes, wherever in its bounds the pointer is, stays below `limit`. */
export function checkRegion(
  env: Env,
  regno: number,
  off: number,
  size: number,
  limit: number,
  allowsZero: boolean,
): void {
  const reg = env.reg(regno);
  const least = reg.smin + BigInt(off);
  if (reg.smin < 0n && (reg.smin === S64_MIN || least !== BigInt.asIntN(32, least) || least < 0n)) {
    const advice = 'either use unsigned index or do a if (index >=0) check.';
    env.reject('EACCES', `R${regno} min value is negative, ${advice}`);
  }
  const below = regionProblem(reg, least, size, limit, allowsZero);
  if (below !== undefined) {
    env.log.say(`${below}\n`);
    env.reject('EACCES', `R${regno} min value is outside of the allowed memory range`);
  }
  if (reg.umax >= BPF_MAX_VAR_OFF)
    env.reject('EACCES', `R${regno} unbounded memory access, make sure to bounds check any such access`);
  const above = regionProblem(reg, reg.umax + BigInt(off), size, limit, allowsZero);
  if (above === undefined) return;
  env.log.say(`${above}\n`);
  env.reject('EACCES', `R${regno} max value is outside of the allowed memory range`);
}

/** check_map_access_type: what the map's flags let programs do. */
export function checkMapFlags(env: Env, map: VerifierMap, off: number, size: number, isWrite: boolean): void {
  const at = `value_size=${map.valueSize} off=${off} size=${size}`;
  if (isWrite && (map.flags & MAP_FLAGS.BPF_F_RDONLY_PROG) !== 0)
    env.reject('EACCES', `write into map forbidden, ${at}`);
  if (!isWrite && (map.flags & MAP_FLAGS.BPF_F_WRONLY_PROG) !== 0)
    env.reject('EACCES', `read from map forbidden, ${at}`);
}

/** __check_ptr_off_reg: pointers that may not be moved. */
export function checkUnmoved(env: Env, reg: Reg, regno: number, allowsFixed: boolean): void {
  const name = typeOf(reg);
  if (reg.off < 0) env.reject('EACCES', `negative offset ${name} ptr R${regno} off=${reg.off} disallowed`);
  if (!allowsFixed && reg.off !== 0)
    env.reject('EACCES', `dereference of modified ${name} ptr R${regno} off=${reg.off} disallowed`);
  if (!isConst(reg.tnum) || reg.tnum.value !== 0n)
    env.reject('EACCES', `variable ${name} access var_off=${tnumText(reg.tnum)} disallowed`);
}

/** Contents that no one will change any more: the entry of a frozen, read-only array (bpf_map_is_rdonly). */
export const isFrozenReadOnly = (map: VerifierMap): boolean =>
  map.type === 'array' && map.isFrozen === true && (map.flags & MAP_FLAGS.BPF_F_RDONLY_PROG) !== 0;

/** The number that stands in a frozen map; what was not given is 0. */
function frozenValue(map: VerifierMap, off: number, size: number, isSigned: boolean): bigint {
  const bytes = map.initial ?? new Uint8Array();
  let value = 0n;
  for (let byte = size - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(bytes[off + byte] ?? 0);
  return isSigned ? BigInt.asUintN(64, BigInt.asIntN(8 * size, value)) : value;
}

function accessMapValue(env: Env, { regno, size, isWrite, into, isSigned = false }: Access, off: number): void {
  const reg = env.reg(regno);
  const map = reg.map as VerifierMap;
  checkMapFlags(env, map, off, size, isWrite);
  checkRegion(env, regno, off, size, map.valueSize, false);
  checkLockUntouched(env, reg, off, size);
  if (isWrite || into === undefined) return;
  const isFixed = isConst(reg.tnum) && isFrozenReadOnly(map);
  const at = off + Number(BigInt.asIntN(64, reg.tnum.value));
  env.setReg(into, isFixed ? knownScalar(frozenValue(map, at, size, isSigned)) : unknownScalar());
}

function accessMem(env: Env, { regno, size, isWrite, into }: Access, off: number): void {
  const reg = env.reg(regno);
  if (mayBeNull(reg)) env.reject('EACCES', `R${regno} invalid mem access '${typeOf(reg)}'`);
  if (isWrite && (reg.flags & MEM_RDONLY) !== 0) env.reject('EACCES', `R${regno} cannot write into ${typeOf(reg)}`);
  checkRegion(env, regno, off, size, reg.memSize, false);
  if (!isWrite && into !== undefined) env.setReg(into, unknownScalar());
}

function accessCtx(env: Env, { regno, size, isWrite, into }: Access, off: number): void {
  checkUnmoved(env, env.reg(regno), regno, false);
  const value = ctxAccess(env, off, size, isWrite);
  env.maxCtxOffset = Math.max(env.maxCtxOffset, off + size);
  if (isWrite || into === undefined) return;
  if (value.kind === 'scalar') {
    const scalar = unknownScalar();
    if (value.range !== undefined) narrow32(scalar, value.range.min, value.range.max);
    env.setReg(into, scalar);
    return;
  }
  env.setReg(into, pointerTo(env, value));
}

/** __mark_reg_s32_range. */
function narrow32(reg: Bounds, min: number, max: number): void {
  reg.s32min = Math.max(reg.s32min, min);
  reg.s32max = Math.min(reg.s32max, max);
  reg.smin = reg.smin > BigInt(min) ? reg.smin : BigInt(min);
  reg.smax = reg.smax < BigInt(max) ? reg.smax : BigInt(max);
  syncBounds(reg);
}

type Fields = Readonly<Record<string, readonly string[]>>;

/** Members of trusted structs that are as trustworthy as the struct, or last as long as readers do (BTF_TYPE_SAFE_*, kernel/bpf/verifier.c, 6.12). */
const SAFE_TRUSTED: Fields = { linux_binprm: ['file'], file: ['f_inode'], dentry: ['d_inode'] };
const SAFE_TRUSTED_OR_NULL: Fields = { socket: ['sk'] };
const SAFE_RCU: Fields = {
  task_struct: ['cpus_ptr', 'cgroups', 'real_parent', 'group_leader'],
  cgroup: ['kn'],
  css_set: ['dfl_cgrp'],
};
const SAFE_RCU_OR_NULL: Fields = { mm_struct: ['exe_file'], sk_buff: ['sk'], request_sock: ['sk'] };

/** What is known of a pointer that was read through another one. Programs that do not sleep are readers all the time, those that do never are. */
function memberFlags(env: Env, reg: Reg, name: string, flags: number, field: string): number {
  const isIn = (fields: Fields): boolean => fields[name]?.includes(field) === true;
  if ((reg.flags & PTR_UNTRUSTED) !== 0) return PTR_UNTRUSTED;
  if (!isTrusted(reg) && (reg.flags & MEM_RCU) === 0) return flags & ~(PTR_TRUSTED | MEM_RCU);
  if (isIn(SAFE_TRUSTED)) return flags | PTR_TRUSTED;
  if (isIn(SAFE_TRUSTED_OR_NULL)) return flags | PTR_TRUSTED | MAYBE_NULL;
  if (env.request.isSleepable === true) return PTR_UNTRUSTED;
  if (isIn(SAFE_RCU)) return flags | MEM_RCU;
  if (isIn(SAFE_RCU_OR_NULL)) return (flags | MEM_RCU | MAYBE_NULL) & ~PTR_UNTRUSTED;
  if ((flags & MEM_RCU) !== 0) return flags | MAYBE_NULL;
  return flags & ~PTR_TRUSTED;
}

/** check_ptr_to_btf_access: a struct of the kernel, which only reads through its BTF. */
export function accessBtf(env: Env, regno: number, off: number, size: number, isWrite: boolean, into?: number): void {
  const reg = env.reg(regno);
  const { btf } = env;
  if (btf === undefined) env.reject('EACCES', `R${regno} invalid mem access '${typeOf(reg)}'`);
  const name = btf.name(reg.btfId);
  const what = `R${regno} is ptr_${name}`;
  if (env.request.isGpl === false)
    env.reject('EINVAL', `Cannot access kernel 'struct ${name}' from non-GPL compatible program`);
  if (off < 0) env.reject('EACCES', `${what} invalid negative access: off=${off}`);
  if (!isConst(reg.tnum) || reg.tnum.value !== 0n)
    env.reject('EACCES', `${what} invalid variable offset: off=${off}, var_off=${tnumText(reg.tnum)}`);
  if ((reg.flags & MEM_USER) !== 0) env.reject('EACCES', `${what} access user memory: off=${off}`);
  if ((reg.flags & MEM_PERCPU) !== 0) env.reject('EACCES', `${what} access percpu memory: off=${off}`);
  if (isWrite) env.reject('EACCES', 'only read is supported');
  const member = walkStruct(env, btf, reg.btfId, off, size);
  if (into === undefined) return;
  if (member.kind === 'scalar') {
    env.setReg(into, unknownScalar());
    return;
  }
  const flags = memberFlags(env, reg, name, member.flags, member.field);
  env.setReg(into, pointerTo(env, { btfId: member.btfId, flags }));
}

function accessStack(env: Env, access: Access, off: number): void {
  const { regno, size, isWrite, into, stored } = access;
  checkStackBounds(env, regno, off, size, isWrite ? 'write' : 'read');
  if (isWrite) writeStack(env, regno, off, size, stored);
  else readStack(env, regno, off, size, into);
}

function dispatch(env: Env, access: Access, reg: Reg, off: number): void {
  const { regno, size, isWrite, into } = access;
  const invalid = (): never => env.reject('EACCES', `R${regno} invalid mem access '${typeOf(reg)}'`);
  switch (reg.type) {
    case 'map_key':
      if (isWrite) env.reject('EACCES', `write to change key R${regno} not allowed`);
      checkRegion(env, regno, off, size, reg.map?.keySize ?? 0, false);
      if (into !== undefined) env.setReg(into, unknownScalar());
      return;
    case 'map_value':
      if (mayBeNull(reg)) invalid();
      else accessMapValue(env, access, off);
      return;
    case 'mem':
      accessMem(env, access, off);
      return;
    case 'ctx':
      accessCtx(env, access, off);
      return;
    case 'fp':
      accessStack(env, access, off);
      return;
    case 'ptr_':
      if (mayBeNull(reg)) invalid();
      else accessBtf(env, regno, off, size, isWrite, into);
      return;
    case 'map_ptr':
      accessMapPointer(env, access, off);
      return;
    default:
      invalid();
      return;
  }
}

/** What the map of each type is in the kernel (map_btf_id of its struct bpf_map_ops). */
const MAP_STRUCTS: Readonly<Record<VerifierMap['type'], string>> = {
  array: 'bpf_array',
  percpu_array: 'bpf_array',
  prog_array: 'bpf_array',
  perf_event_array: 'bpf_array',
  hash: 'bpf_htab',
  percpu_hash: 'bpf_htab',
  lru_hash: 'bpf_htab',
  lru_percpu_hash: 'bpf_htab',
  stack_trace: 'bpf_stack_map',
  ringbuf: 'bpf_ringbuf_map',
};

/** check_ptr_to_map_access: a map itself, which programs only read, by its BTF. */
function accessMapPointer(env: Env, access: Access, off: number): void {
  const { regno, size, isWrite, into } = access;
  const { type } = env.reg(regno).map as VerifierMap;
  const { btf } = env;
  if (btf === undefined) env.reject('ENOTSUPP', 'map_ptr access not supported without CONFIG_DEBUG_INFO_BTF');
  const name = MAP_STRUCTS[type];
  const struct = env.structNamed(name);
  if (struct === undefined)
    env.reject('ENOTSUPP', `map_ptr access not supported for map type ${MAP_TYPE_NUMBERS[type]}`);
  if (off < 0) env.reject('EACCES', `R${regno} is ${name} invalid negative access: off=${off}`);
  if (isWrite) env.reject('EACCES', `only read from ${name} is supported`);
  const member = walkStruct(env, btf, struct, off, size);
  if (into !== undefined) env.setReg(into, member.kind === 'scalar' ? unknownScalar() : pointerTo(env, member));
}

function pointerTo(env: Env, { btfId, flags }: { readonly btfId: number; readonly flags: number }): Reg {
  const pointer = newReg('ptr_');
  pointer.btfId = btfId;
  pointer.flags = flags;
  if (mayBeNull(pointer)) pointer.id = env.newId();
  return pointer;
}

/** check_mem_access: whether a load or store through a register is safe, and what it leaves where it goes. */
export function checkMemory(env: Env, access: Access): void {
  const reg = env.reg(access.regno);
  checkAlignment(env, reg, access.off, access.size, access.isStrict === true);
  dispatch(env, access, reg, access.off + reg.off);
  const { into, size, isWrite } = access;
  if (isWrite || into === undefined || size === 8 || env.reg(into).type !== 'scalar') return;
  const loaded = env.draft(into);
  if (access.isSigned === true) coerceToSizeSigned(loaded, size);
  else coerceToSize(loaded, size);
  env.setReg(into, loaded);
}
