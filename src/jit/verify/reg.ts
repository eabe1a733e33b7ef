import { type Bounds, setKnown, setUnknown } from './bounds.ts';
import type { VerifierMap } from './request.ts';
import { isConst, type Tnum } from './tnum.ts';

/** What a register holds (enum bpf_reg_type, include/linux/bpf.h, 6.12), as the kernel's log names it; `ptr_` goes before a type's name. */
export type RegType = '?' | 'scalar' | 'ctx' | 'map_ptr' | 'map_value' | 'map_key' | 'fp' | 'ptr_' | 'mem' | 'func';

/** What more is known of a pointer (enum bpf_type_flag). */
export const MAYBE_NULL = 1 << 0;
export const MEM_RDONLY = 1 << 1;
export const MEM_RINGBUF = 1 << 2;
export const MEM_USER = 1 << 3;
export const MEM_PERCPU = 1 << 4;
export const MEM_RCU = 1 << 5;
export const PTR_UNTRUSTED = 1 << 6;
export const PTR_TRUSTED = 1 << 7;

/** A register while it is made. Those that stand in a state are {@link Reg} and do not change. */
export interface RegDraft extends Bounds {
  type: RegType;
  flags: number;
  /** Of a pointer: the constant part of its offset. Of a scalar with `isAddConst`: how much it is more than its relatives. */
  off: number;
  /** Equal scalars, or pointers that are null together, have one; 0: none. */
  id: number;
  isAddConst: boolean;
  /** The reference that it, or what it was made from, holds; 0: none. */
  refObjId: number;
  map: VerifierMap | undefined;
  /** Of `mem`: bytes. */
  memSize: number;
  /** Of `ptr_`: type in the kernel's BTF. */
  btfId: number;
  /** Of `fp`: whose stack. */
  frameno: number;
  /** Of `func`. */
  subprog: number;
  /** Its value decided something, so that states that differ in it are different. */
  precise: boolean;
}

export type Reg = Readonly<RegDraft>;

export function newReg(type: RegType): RegDraft {
  const reg: RegDraft = {
    type,
    flags: 0,
    off: 0,
    id: 0,
    isAddConst: false,
    refObjId: 0,
    map: undefined,
    memSize: 0,
    btfId: 0,
    frameno: 0,
    subprog: 0,
    precise: false,
    tnum: ZERO,
    smin: 0n,
    smax: 0n,
    umin: 0n,
    umax: 0n,
    s32min: 0,
    s32max: 0,
    u32min: 0,
    u32max: 0,
  };
  return reg;
}

const ZERO: Tnum = { value: 0n, mask: 0n };

export const copyReg = (reg: Reg): RegDraft => ({ ...reg });

export const NOT_INIT: Reg = notInit();

function notInit(): Reg {
  const reg = newReg('?');
  setUnknown(reg);
  return reg;
}

export function unknownScalar(): RegDraft {
  const reg = newReg('scalar');
  setUnknown(reg);
  return reg;
}

export const UNKNOWN: Reg = unknownScalar();

export function knownScalar(value: bigint): RegDraft {
  const reg = newReg('scalar');
  setKnown(reg, value);
  return reg;
}

export const isScalar = (reg: Reg): boolean => reg.type === 'scalar';
/** __is_pointer_value: what has not been written counts as one. */
export const isPointer = (reg: Reg): boolean => reg.type !== 'scalar';
export const mayBeNull = (reg: Reg): boolean => (reg.flags & MAYBE_NULL) !== 0;
export const isNull = (reg: Reg): boolean => reg.type === 'scalar' && isConst(reg.tnum) && reg.tnum.value === 0n;
/** Of the low half or the whole. */
export const isConstReg = (reg: Reg, width: 32 | 64): boolean =>
  reg.type === 'scalar' && (width === 64 ? isConst(reg.tnum) : (reg.tnum.mask & 0xffff_ffffn) === 0n);
export const constValue = (reg: Reg, width: 32 | 64): bigint => BigInt.asUintN(width, reg.tnum.value);
/** Bits that it needs (get_reg_width). */
export const widthOf = (reg: Reg): number => (reg.umax === 0n ? 0 : reg.umax.toString(2).length);

export const isTrusted = (reg: Reg): boolean =>
  reg.refObjId !== 0 || ((reg.flags & PTR_TRUSTED) !== 0 && (reg.flags & PTR_UNTRUSTED) === 0);

/** Where a pointer can be no more than this much away (BPF_MAX_VAR_OFF, include/linux/bpf_verifier.h). */
export const BPF_MAX_VAR_OFF = 1n << 29n;

/** Pointers that point to something (reg_not_null). */
export function isNotNull(reg: Reg): boolean {
  if (mayBeNull(reg) || reg.smin <= -BPF_MAX_VAR_OFF || reg.smax >= BPF_MAX_VAR_OFF) return false;
  switch (reg.type) {
    case 'map_value':
    case 'map_key':
    case 'mem':
    case 'map_ptr':
      return true;
    case 'ptr_':
      return isTrusted(reg);
    default:
      return false;
  }
}

const PREFIXES: readonly (readonly [number, string])[] = [
  [MEM_RDONLY, 'rdonly_'],
  [MEM_RINGBUF, 'ringbuf_'],
  [MEM_USER, 'user_'],
  [MEM_PERCPU, 'percpu_'],
  [MEM_RCU, 'rcu_'],
  [PTR_UNTRUSTED, 'untrusted_'],
  [PTR_TRUSTED, 'trusted_'],
];

/** reg_type_str (kernel/bpf/log.c, 6.12). */
export function typeName(type: RegType, flags: number): string {
  const prefix = PREFIXES.filter(([flag]) => (flags & flag) !== 0).map(([, text]) => text);
  const postfix = (flags & MAYBE_NULL) === 0 ? '' : type === 'ptr_' ? 'or_null_' : '_or_null';
  return `${prefix.join('')}${type}${postfix}`;
}

export const typeOf = (reg: Reg): string => typeName(reg.type, reg.flags);
