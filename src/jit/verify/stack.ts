import type { Env } from './env.ts';
import { markSlotRead } from './liveness.ts';
import { markPrecise } from './precision.ts';
import { tnumText } from './print-state.ts';
import {
  BPF_MAX_VAR_OFF,
  copyReg,
  isNull,
  knownScalar,
  NOT_INIT,
  type Reg,
  UNKNOWN,
  unknownScalar,
  widthOf,
} from './reg.ts';
import { assignId, clearId } from './scalar-id.ts';
import {
  type ByteType,
  type Frame,
  INVALID,
  isSpilled,
  isSpilledScalar,
  MAX_STACK,
  MISC,
  SLOT_SIZE,
  SPILL,
  WRITTEN,
  ZERO_BYTE,
} from './state.ts';
import { isConst } from './tnum.ts';

export type AccessKind = 'read' | 'write' | 'helper';

/** The frame whose stack a pointer points to. */
export const frameOf = (env: Env, reg: Reg): Frame => env.state.frames[reg.frameno] as Frame;

const slotIndex = (off: number): number => Math.floor((-off - 1) / SLOT_SIZE);
const byteIndex = (off: number): number => (-off - 1) % SLOT_SIZE;

/** Where an access may begin, counted from the frame pointer: both ends belong to it. */
export function stackOffsets(reg: Reg, off: number): { readonly min: number; readonly max: number } {
  if (isConst(reg.tnum)) {
    const at = Number(BigInt.asIntN(64, reg.tnum.value)) + off;
    return { min: at, max: at };
  }
  return { min: Number(reg.smin) + off, max: Number(reg.smax) + off };
}

const WHAT = { read: ' read from', write: ' write to', helper: ' indirect access to' } as const;

/** check_stack_access_within_bounds: an access has to stay inside the 512 bytes below R10. */
export function checkStackBounds(env: Env, regno: number, off: number, size: number, kind: AccessKind): void {
  const reg = env.reg(regno);
  const what = WHAT[kind];
  const isFixed = isConst(reg.tnum);
  if (!isFixed && (reg.smax >= BPF_MAX_VAR_OFF || reg.smin <= -BPF_MAX_VAR_OFF))
    env.reject('EACCES', `invalid unbounded variable-offset${what} stack R${regno}`);
  const { min, max } = stackOffsets(reg, off);
  const isInside = min >= -MAX_STACK && min <= -1 && max + size <= 0 && size >= 0;
  if (!isInside) {
    const errno = min < -MAX_STACK || min > -1 ? 'EACCES' : max + size > 0 ? 'EINVAL' : 'EFAULT';
    if (isFixed) env.reject(errno, `invalid${what} stack R${regno} off=${off} size=${size}`);
    env.reject(
      errno,
      `invalid variable-offset${what} stack R${regno} var_off=${tnumText(reg.tnum)} off=${off} size=${size}`,
    );
  }
  const frame = frameOf(env, reg);
  frame.grow(-min);
  const info = env.subprogs[frame.subprog];
  if (info !== undefined) info.stackDepth = Math.max(info.stackDepth, Math.ceil(-min / SLOT_SIZE) * SLOT_SIZE);
}

function setBytes(frame: Frame, index: number, bytes: readonly number[], type: ByteType, reg: Reg): void {
  const types = frame.slot(index).types.slice();
  for (const byte of bytes) types[byte] = type;
  frame.stack[index] = { types, reg };
}

/** A register, or part of a scalar, as it is stored from its slot's lowest address on. */
function spill(frame: Frame, index: number, reg: Reg, size: number): void {
  const { types } = frame.slot(index);
  frame.stack[index] = {
    types: types.map((type, byte): ByteType => (byte >= SLOT_SIZE - size ? SPILL : type === SPILL ? MISC : type)),
    reg,
  };
  if (size === SLOT_SIZE) frame.slotLive[index] = (frame.slotLive[index] ?? 0) | WRITTEN;
}

/** What is stored: a register, a constant, or (an atomic operation) anything. */
export type Stored = { readonly regno: number } | { readonly imm: number } | undefined;

/** check_stack_write_fixed_off. */
function writeFixed(env: Env, frame: Frame, off: number, size: number, stored: Stored): void {
  const index = slotIndex(off);
  const isAtSlot = off % SLOT_SIZE === 0;
  env.touchSlot(index);
  const regno = stored !== undefined && 'regno' in stored ? stored.regno : undefined;
  if (regno !== undefined && isAtSlot && env.reg(regno).type === 'scalar') {
    const fits = widthOf(env.reg(regno)) <= 8 * size;
    if (fits) assignId(env, regno);
    const reg = copyReg(env.reg(regno));
    if (!fits) clearId(reg);
    spill(frame, index, reg, size);
    env.noteAccess(frame.frameno, index);
    return;
  }
  if (stored !== undefined && 'imm' in stored && isAtSlot) {
    spill(frame, index, knownScalar(BigInt(stored.imm)), size);
    env.noteAccess(frame.frameno, index);
    return;
  }
  if (regno !== undefined && env.reg(regno).type !== 'scalar') {
    if (size !== SLOT_SIZE) env.reject('EACCES', 'invalid size of register spill');
    if (frame !== env.frame && env.reg(regno).type === 'fp')
      env.reject('EINVAL', 'cannot spill pointers to stack into stack frame of the caller');
    spill(frame, index, env.reg(regno), size);
    env.noteAccess(frame.frameno, index);
    return;
  }
  writeBytes(env, frame, off, size, stored);
}

function isZero(env: Env, stored: Stored): boolean {
  if (stored === undefined) return false;
  return 'imm' in stored ? stored.imm === 0 : isNull(env.reg(stored.regno));
}

function writeBytes(env: Env, frame: Frame, off: number, size: number, stored: Stored): void {
  const index = slotIndex(off);
  if (size === SLOT_SIZE) frame.slotLive[index] = (frame.slotLive[index] ?? 0) | WRITTEN;
  const isZeroed = isZero(env, stored);
  if (isZeroed && stored !== undefined && 'regno' in stored) markPrecise(env, stored.regno);
  scrub(frame, index);
  const bytes = Array.from({ length: size }, (_, byte) => byteIndex(off + byte));
  setBytes(frame, index, bytes, isZeroed ? ZERO_BYTE : MISC, NOT_INIT);
}

/** What was a register is anything from now on (scrub_special_slot). */
function scrub(frame: Frame, index: number, reg: Reg = NOT_INIT): void {
  const slot = frame.slot(index);
  const types = isSpilled(slot) ? slot.types.map((type) => (type === INVALID ? INVALID : MISC)) : slot.types;
  frame.stack[index] = { types, reg };
}

/** check_stack_write_var_off: any of the bytes in reach may be overwritten. */
function writeVariable(env: Env, frame: Frame, min: number, max: number, stored: Stored): void {
  const isZeroed = isZero(env, stored);
  let usesZero = false;
  for (let off = min; off < max; off++) {
    const index = slotIndex(off);
    const slot = frame.slot(index);
    env.touchSlot(index);
    const type = slot.types[byteIndex(off)];
    if (isZeroed && type === SPILL && isSpilledScalar(slot) && isNull(slot.reg)) {
      usesZero = true;
      continue;
    }
    const staysZero = isZeroed && type === ZERO_BYTE;
    if (staysZero) usesZero = true;
    scrub(frame, index);
    setBytes(frame, index, [byteIndex(off)], staysZero ? ZERO_BYTE : MISC, NOT_INIT);
  }
  if (usesZero && stored !== undefined && 'regno' in stored) markPrecise(env, stored.regno);
}

/** A store through a pointer to stack whose bounds have been checked. `off` includes the pointer's constant part. */
export function writeStack(env: Env, regno: number, off: number, size: number, stored: Stored): void {
  const reg = env.reg(regno);
  const frame = frameOf(env, reg);
  const { min, max } = stackOffsets(reg, off);
  if (min === max) writeFixed(env, frame, min, size, stored);
  else writeVariable(env, frame, min, max + size, stored);
}

/** Bytes that are no register: zero when all are, else anything. */
function readBytes(env: Env, frame: Frame, min: number, max: number, into: number): void {
  let isAllZero = true;
  for (let off = min; off < max && isAllZero; off++) {
    const index = slotIndex(off);
    env.touchSlot(index);
    if (frame.slot(index).types[byteIndex(off)] !== ZERO_BYTE) isAllZero = false;
  }
  env.setReg(into, isAllZero ? knownScalar(0n) : unknownScalar());
}

/** Part of a spilled scalar, or one of less than 8 bytes (check_stack_read_fixed_off). */
function readPartOfSpill(env: Env, frame: Frame, off: number, size: number, into: number): void {
  const index = slotIndex(off);
  const { types, reg } = frame.slot(index);
  let spilled = 1;
  while (spilled < SLOT_SIZE && types[SLOT_SIZE - 1 - spilled] === SPILL) spilled += 1;
  // Little-endian: the low bytes stand at the lowest address.
  if (size <= spilled && off % SLOT_SIZE === 0) {
    const value = copyReg(reg);
    if (widthOf(reg) > 8 * size) clearId(value);
    env.setReg(into, value);
    env.noteAccess(frame.frameno, index);
    return;
  }
  let spills = 0;
  let zeros = 0;
  for (let byte = 0; byte < size; byte++) {
    const type = types[byteIndex(off + byte)];
    if (type === SPILL) spills += 1;
    else if (type === ZERO_BYTE) zeros += 1;
  }
  if (spills === size && isNull(reg)) {
    env.setReg(into, knownScalar(0n));
    env.noteAccess(frame.frameno, index);
  } else if (zeros === size) env.setReg(into, knownScalar(0n));
  else env.setReg(into, unknownScalar());
}

/** check_stack_read_fixed_off. `into` undefined: only whether it may be read. */
function readFixed(env: Env, frame: Frame, off: number, size: number, into: number | undefined): void {
  const index = slotIndex(off);
  const slot = frame.slot(index);
  env.touchSlot(index);
  markSlotRead(env, env.state, frame.frameno, index);
  if (!isSpilled(slot)) {
    if (into !== undefined) readBytes(env, frame, off, off + size, into);
    return;
  }
  const isWhole = size === SLOT_SIZE && slot.types[0] === SPILL;
  if (!isWhole && slot.reg.type !== 'scalar') env.reject('EACCES', 'invalid size of register fill');
  if (into === undefined) {
    if (isWhole) env.noteAccess(frame.frameno, index);
    return;
  }
  if (!isWhole) readPartOfSpill(env, frame, off, size, into);
  else {
    env.setReg(into, slot.reg);
    env.noteAccess(frame.frameno, index);
  }
}

/** A load through a pointer to stack whose bounds have been checked. Bytes that were never written read as anything (CAP_PERFMON). */
export function readStack(env: Env, regno: number, off: number, size: number, into: number | undefined): void {
  const reg = env.reg(regno);
  const frame = frameOf(env, reg);
  if (into === undefined && !isConst(reg.tnum)) {
    const text = `variable offset stack pointer cannot be passed into helper function; var_off=${tnumText(reg.tnum)}`;
    env.reject('EACCES', `${text} off=${off} size=${size}`);
  }
  const { min, max } = stackOffsets(reg, off);
  if (isConst(reg.tnum)) {
    readFixed(env, frame, min, size, into);
    return;
  }
  checkStackRange(env, regno, off, size, { kind: 'read', allowsZero: false });
  if (into !== undefined) readBytes(env, frame, min, max + size, into);
}

export interface RangeAccess {
  readonly kind: 'read' | 'helper';
  readonly allowsZero: boolean;
  /** The callee only writes it: what stands there is not read. Called with the size when it is one fixed place. */
  readonly raw?: (size: number) => void;
}

/** check_stack_range_initialized: memory on the stack that somebody reads as a whole. A helper that reads it may also write it. */
export function checkStackRange(env: Env, regno: number, off: number, size: number, access: RangeAccess): void {
  const { kind, allowsZero, raw } = access;
  if (size === 0 && !allowsZero) env.reject('EACCES', 'invalid zero-sized read');
  checkStackBounds(env, regno, off, size, kind);
  const reg = env.reg(regno);
  const frame = frameOf(env, reg);
  const { min, max } = stackOffsets(reg, off);
  if (raw !== undefined && isConst(reg.tnum)) {
    raw(size);
    return;
  }
  for (let at = min; at < max + size; at++) {
    const index = slotIndex(at);
    if (kind === 'helper') clobber(frame, index, byteIndex(at));
    markSlotRead(env, env.state, frame.frameno, index);
  }
}

/** A helper may have written the byte. */
function clobber(frame: Frame, index: number, byte: number): void {
  const slot = frame.slot(index);
  const type = slot.types[byte];
  if (type === SPILL) scrub(frame, index, UNKNOWN);
  else if (type !== MISC) setBytes(frame, index, [byte], MISC, slot.reg);
}
