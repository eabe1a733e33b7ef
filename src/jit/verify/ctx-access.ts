import { BTF_KIND, type BtfTypes, stripBtf } from '../../image/index.ts';
import { isRecord, tagFlags } from './btf-walk.ts';
import type { Env } from './env.ts';
import { MAYBE_NULL, MEM_RCU, PTR_TRUSTED } from './reg.ts';
import type { VerifyTarget } from './request.ts';
import type { Range } from './state.ts';
import { tracepointDoubt } from './tracepoint-arguments.ts';

const K = BTF_KIND;
/** MAX_BPF_FUNC_ARGS and MAX_BPF_FUNC_REG_ARGS (include/linux/bpf.h). */
const MAX_ARGS = 12;
/** struct pt_regs (arch/x86/include/asm/ptrace.h). */
const PT_REGS_SIZE = 168;
/** PERF_MAX_TRACE_SIZE. */
const TRACE_SIZE_MAX = 8192;
export const MAX_ERRNO = 4095;

/** Hooks whose arguments may be half made or half gone (untrusted_lsm_hooks, kernel/bpf/bpf_lsm.c, 6.12). */
const UNTRUSTED_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_bpf_map_free',
  'bpf_lsm_bpf_prog_free',
  'bpf_lsm_file_alloc_security',
  'bpf_lsm_file_free_security',
  'bpf_lsm_sk_alloc_security',
  'bpf_lsm_sk_free_security',
  'bpf_lsm_task_free',
]);
/** Hooks that answer yes or no (bool_lsm_hooks). */
const BOOL_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_xfrm_state_pol_flow_match',
  'bpf_lsm_audit_rule_known',
  'bpf_lsm_inode_xattr_skipcap',
]);

/** Hooks that programs may not be for, since nothing good comes of what they would answer (bpf_lsm_disabled_hooks, 6.12.117; 6.1.192 has no getselfattr). */
export const DISABLED_HOOKS: ReadonlySet<string> = new Set(
  `vm_enough_memory inode_need_killpriv inode_getsecurity inode_listsecurity inode_copy_up_xattr getselfattr getprocattr setprocattr
   key_getsecurity audit_rule_match xfrm_decode_session ismaclabel`
    .split(/\s+/)
    .map((name) => `bpf_lsm_${name}`),
);

/** bpf_lsm_verify_prog: an LSM program is GPL, and not for a hook that is disabled. */
export function checkHook(env: Env): void {
  const { type, target, isGpl } = env.request;
  if (type !== 'lsm') return;
  if (isGpl === false) env.reject('EINVAL', 'LSM programs must have a GPL compatible license');
  if (target !== undefined && DISABLED_HOOKS.has(target.name))
    env.reject('EINVAL', `attach_btf_id ${target.btfId ?? 0} points to disabled hook ${target.name}`);
}

/** What a load from the context gives. */
export type CtxValue =
  | { readonly kind: 'scalar'; readonly range?: Range }
  | { readonly kind: 'pointer'; readonly btfId: number; readonly flags: number };

const SCALAR: CtxValue = { kind: 'scalar' };

/** btf_kind_str (kernel/bpf/btf.c). */
const KIND_NAMES: readonly string[] = [
  'UNKNOWN',
  'INT',
  'PTR',
  'ARRAY',
  'STRUCT',
  'UNION',
  'ENUM',
  'FWD',
  'TYPEDEF',
  'VOLATILE',
  'CONST',
  'RESTRICT',
  'FUNC',
  'FUNC_PROTO',
  'VAR',
  'DATASEC',
  'FLOAT',
  'DECL_TAG',
  'TYPE_TAG',
  'ENUM64',
];

const kindName = (btf: BtfTypes, id: number): string => KIND_NAMES[btf.kind(id)] ?? 'UNKNOWN';

/** What the hook may answer; undefined: anything, or nothing (bpf_lsm_get_retval_range). */
export function lsmRange(env: Env): Range | undefined {
  const { btf, target } = env.request;
  if (btf === undefined || target?.btfId === undefined) return undefined;
  if (btf.sizeOrType(btf.sizeOrType(target.btfId)) === 0) return undefined;
  return BOOL_HOOKS.has(target.name) ? { min: 0, max: 1 } : { min: -MAX_ERRNO, max: 0 };
}

/** What a function takes, or a tracepoint: behind the `void *__data` that each btf_trace_NAME begins with. */
interface Signature {
  readonly proto: number;
  /** Parameters in front of the first that is an argument. */
  readonly first: number;
  readonly count: number;
}

function signatureOf(env: Env, btf: BtfTypes, id: number): Signature {
  const isTracepoint = env.request.type === 'tp_btf';
  const inner = btf.sizeOrType(id);
  const proto = btf.kind(inner) === K.PTR ? btf.sizeOrType(inner) : inner;
  const first = isTracepoint ? 1 : 0;
  return { proto, first, count: Math.max(0, btf.vlen(proto) - first) };
}

const parameterName = (btf: BtfTypes, { proto, first }: Signature, index: number): string =>
  btf.string(btf.tail(proto, (index + first) * 2));
const parameterType = (btf: BtfTypes, { proto, first }: Signature, index: number): number =>
  btf.tail(proto, (index + first) * 2 + 1);

/** Words that an argument takes, in bytes: a struct by value takes more than one. */
function slotBytes(btf: BtfTypes, type: number): number {
  const bare = stripBtf(btf, type);
  return btf.kind(bare) === K.PTR ? 8 : Math.ceil(sizedBytes(btf, bare) / 8) * 8;
}

/** The size field, of what has one. */
const sizedBytes = (btf: BtfTypes, bare: number): number =>
  [K.INT, K.STRUCT, K.UNION, K.ENUM, K.ENUM64, K.FLOAT].some((kind) => kind === btf.kind(bare))
    ? btf.sizeOrType(bare)
    : 0;

/**
 * The argument whose words the offset is in; one past the last is the return value (get_ctx_arg_idx). Of a tracepoint, too, from the first
 * parameter of the prototype on, which is not in the context: all are one word.
 */
function argumentAt(btf: BtfTypes, proto: number, off: number): number {
  const count = btf.vlen(proto);
  let end = 0;
  for (let index = 0; index < count; index++) {
    end += slotBytes(btf, btf.tail(proto, index * 2 + 1));
    if (off < end) return index;
  }
  end += slotBytes(btf, btf.sizeOrType(proto));
  return off < end ? count : count + 1;
}

function isSmallInt(btf: BtfTypes, id: number): boolean {
  const size = btf.sizeOrType(id);
  return btf.kind(id) === K.INT && (size === 1 || size === 2 || size === 4 || size === 8);
}

interface Access {
  readonly off: number;
  readonly size: number;
}

function refuseAccess(env: Env, { off, size }: Access): never {
  return env.reject('EACCES', `invalid bpf_context access off=${off} size=${size}`);
}

/** An argument or, one past the last, the return value of the function. */
interface Argument {
  readonly signature: Signature;
  readonly name: string;
  readonly index: number;
}

/** The type of the return value, for who may read it; refused for the others. */
function returnType(
  env: Env,
  btf: BtfTypes,
  { signature, name, index }: Argument,
  access: Access,
): { readonly type: number; readonly isHook: boolean } {
  const type = btf.sizeOrType(signature.proto);
  switch (env.request.type) {
    case 'lsm':
      return { type, isHook: true };
    case 'fexit':
      return { type, isHook: false };
    case 'fmod_ret': {
      const bare = stripBtf(btf, type);
      if (isSmallInt(btf, bare)) return { type: bare, isHook: false };
      env.log.say(`ret type ${kindName(btf, bare)} not allowed for fmod_ret\n`);
      return refuseAccess(env, access);
    }
    default:
      env.log.say(`func '${name}' doesn't have ${index + 1}-th argument\n`);
      return refuseAccess(env, access);
  }
}

function pointerValue(
  env: Env,
  btf: BtfTypes,
  { name, index, signature }: Argument,
  pointer: number,
  access: Access,
): CtxValue {
  const { type } = env.request;
  const parameter = index === signature.count ? '' : parameterName(btf, signature, index);
  const pointee = btf.sizeOrType(pointer);
  if (pointee === 0 || btf.kind(stripBtf(btf, pointee)) === K.INT) return SCALAR;
  const isTrusted = type === 'tp_btf' || (type === 'lsm' && !UNTRUSTED_HOOKS.has(name));
  const doubt = type === 'tp_btf' ? tracepointDoubt(name, index) : undefined;
  const bare = stripBtf(btf, pointee);
  if (!isRecord(btf, bare)) {
    env.log.say(`func '${name}' arg${index} type ${kindName(btf, bare)} is not a struct\n`);
    return refuseAccess(env, access);
  }
  env.log.say(`func '${name}' arg${index} has btf_id ${bare} type ${kindName(btf, bare)} '${btf.name(bare)}'\n`);
  if (doubt === 'error') {
    env.log.say(`marking pointer arg${index} as scalar as it may encode error\n`);
    return SCALAR;
  }
  const mayBeNull = parameter.endsWith('__nullable') || doubt === 'null';
  const flags = (isTrusted ? PTR_TRUSTED : 0) | (mayBeNull ? MAYBE_NULL : 0) | (tagFlags(btf, pointee) & ~MEM_RCU);
  return { kind: 'pointer', btfId: bare, flags };
}

/** Of a function without types: as many numbers as it has words, and its result for who may see it. Of no function: nothing. */
function untypedAccess(env: Env, target: VerifyTarget | undefined, access: Access): CtxValue {
  const { type } = env.request;
  const seesResult = type === 'fexit' || type === 'fmod_ret' || type === 'lsm';
  const index = access.off / 8;
  if (target !== undefined && index < target.words + (seesResult ? 1 : 0)) return SCALAR;
  env.log.say(`func '${target?.name ?? ''}' doesn't have ${index + 1}-th argument\n`);
  return refuseAccess(env, access);
}

/** btf_ctx_access (kernel/bpf/btf.c, 6.12): the context is the function's arguments, 8 bytes each. */
function btfAccess(env: Env, access: Access): CtxValue {
  const { off, size } = access;
  const { btf, target } = env.request;
  const name = target?.name ?? '';
  if (off % 8 !== 0) {
    env.log.say(`func '${name}' offset ${off} is not multiple of 8\n`);
    return refuseAccess(env, access);
  }
  if (btf === undefined || target?.btfId === undefined) return untypedAccess(env, target, access);
  const signature = signatureOf(env, btf, target.btfId);
  const { count } = signature;
  const arg = argumentAt(btf, signature.proto, off);
  if (arg > count) {
    env.log.say(`func '${name}' doesn't have ${arg + 1}-th argument\n`);
    return refuseAccess(env, access);
  }
  const argument = { signature, name, index: arg };
  const { type, isHook } =
    arg === count
      ? returnType(env, btf, argument, access)
      : { type: parameterType(btf, signature, arg), isHook: false };
  const bare = stripBtf(btf, type);
  const kind = btf.kind(bare);
  if (isSmallInt(btf, bare) || kind === K.ENUM || kind === K.ENUM64 || kind === K.STRUCT) {
    const range = isHook ? lsmRange(env) : undefined;
    return range === undefined ? SCALAR : { kind: 'scalar', range };
  }
  if (kind !== K.PTR) {
    const what = `func '${name}' arg${arg} '${btf.name(bare)}' has type ${kindName(btf, bare)}`;
    env.log.say(`${what}. Only pointer access is allowed\n`);
    return refuseAccess(env, access);
  }
  if (size !== 8) {
    env.log.say(`func '${name}' size ${size} must be 8\n`);
    return refuseAccess(env, access);
  }
  return pointerValue(env, btf, argument, bare, access);
}

/**
 * What a program reads from its context, by its type; an access that the type does not have is refused (`is_valid_access` of the types,
 * kernel/trace/bpf_trace.c, 6.12): nobody writes it, and reads are aligned to their size.
 */
export function ctxAccess(env: Env, off: number, size: number, isWrite: boolean): CtxValue {
  const access = { off, size };
  const isAligned = off % size === 0;
  const inside = (first: number, end: number): boolean => off >= first && off + size <= end;
  switch (env.request.type) {
    case 'kprobe':
      return !isWrite && isAligned && inside(0, PT_REGS_SIZE) ? SCALAR : refuseAccess(env, access);
    case 'tracepoint':
      return !isWrite && isAligned && off >= 8 && off < TRACE_SIZE_MAX ? SCALAR : refuseAccess(env, access);
    case 'raw_tracepoint':
      return !isWrite && isAligned && off >= 0 && off < 8 * MAX_ARGS ? SCALAR : refuseAccess(env, access);
    default:
      if (isWrite || !isAligned || off < 0 || off >= 8 * MAX_ARGS) return refuseAccess(env, access);
      return btfAccess(env, access);
  }
}
