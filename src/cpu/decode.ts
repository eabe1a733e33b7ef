import {
  decodeInsn,
  type Insn,
  modrmMod,
  modrmReg,
  modrmRm,
  PREFIX_LOCK,
  PREFIX_OPERAND_SIZE,
  PREFIX_REP,
  PREFIX_REPNE,
} from '../insn/index.ts';
import { addressParts, effectiveAddress } from './effective-address.ts';
import { invalidOpcode } from './fault.ts';
import { type Encoding, type Form, type Instruction, parseEncoding } from './form.ts';
import { FORMS } from './forms/index.ts';
import type { MemoryOperand, Op, Operand, RegisterOperand, Size } from './operand.ts';
import { carryOf } from './wide.ts';

/** The prefixes of an instruction in one shape, whether REX or VEX says them. */
interface Extensions {
  readonly w: number;
  readonly r: number;
  readonly x: number;
  readonly b: number;
  readonly vvvv: number;
  readonly map: number;
  /** 0, 0x66, 0xf2 or 0xf3. */
  readonly prefix: number;
  readonly isVex256: boolean;
}

const VEX_PREFIX = [0, 0x66, 0xf3, 0xf2];

function vexExtensions(bytes: Uint8Array, insn: Insn): Extensions {
  let at = 0;
  while (bytes[at] !== 0xc4 && bytes[at] !== 0xc5) at += 1;
  const p1 = bytes[at + 1] ?? 0;
  const last = insn.vex === 3 ? (bytes[at + 2] ?? 0) : p1;
  return {
    w: insn.vex === 3 ? last >> 7 : 0,
    r: (~p1 >> 7) & 1,
    x: insn.vex === 3 ? (~p1 >> 6) & 1 : 0,
    b: insn.vex === 3 ? (~p1 >> 5) & 1 : 0,
    vvvv: (~last >> 3) & 15,
    map: insn.vex === 3 ? p1 & 0x1f : 1,
    prefix: VEX_PREFIX[last & 3] ?? 0,
    isVex256: (last & 4) !== 0,
  };
}

function legacyExtensions(insn: Insn): Extensions {
  const { rex, prefixes } = insn;
  const rep = prefixes & PREFIX_REP ? 0xf3 : prefixes & PREFIX_REPNE ? 0xf2 : 0;
  const map = insn.opcode !== 0x0f ? 0 : insn.opcodeBytes === 3 ? (insn.opcode2 === 0x38 ? 2 : 3) : 1;
  return {
    w: (rex >> 3) & 1,
    r: (rex >> 2) & 1,
    x: (rex >> 1) & 1,
    b: rex & 1,
    vvvv: 0,
    map,
    prefix: rep || (prefixes & PREFIX_OPERAND_SIZE ? 0x66 : 0),
    isVex256: false,
  };
}

interface Candidate {
  readonly form: Form;
  readonly encoding: Encoding;
  /** The kind letter of the operand in ModRM.rm: E, M or R; empty without one. */
  readonly rmKind: string;
}

const keyOf = (isVex: boolean, map: number, opcode: number): number => ((isVex ? 4 : 0) + map) * 256 + opcode;

/** Forms by opcode; those that ask for more come first. */
function indexForms(): ReadonlyMap<number, readonly Candidate[]> {
  const index = new Map<number, Candidate[]>();
  for (const form of FORMS) {
    const encoding = parseEncoding(form.encoding);
    const rmKind = /(?:^| )([EMR])/.exec(form.operands)?.[1] ?? '';
    for (let low = 0; low < (encoding.isPlusR ? 8 : 1); low++) {
      const key = keyOf(encoding.isVex, encoding.map, encoding.opcode + low);
      index.set(key, [...(index.get(key) ?? []), { form, encoding, rmKind }]);
    }
  }
  const strictness = ({ encoding }: Candidate): number =>
    (encoding.prefix !== 0 ? 2 : 0) + (encoding.modrm >= 0 ? 4 : 0) + (encoding.w >= 0 ? 1 : 0);
  for (const list of index.values()) list.sort((a, b) => strictness(b) - strictness(a));
  return index;
}

let formIndex: ReadonlyMap<number, readonly Candidate[]> | undefined;

function fits({ form, encoding, rmKind }: Candidate, insn: Insn, ext: Extensions): boolean {
  if (encoding.isVex ? ext.prefix !== encoding.prefix || ext.isVex256 : !hasPrefix(encoding, insn, ext)) return false;
  // A register that the form does not have must be given as 1111b (SDM vol. 2, 2.3.5.6).
  if (encoding.isVex && ext.vvvv !== 0 && !form.operands.includes('B')) return false;
  if (encoding.w >= 0 && encoding.w !== ext.w) return false;
  if (encoding.modrm >= 0 && insn.modrm !== encoding.modrm) return false;
  if (encoding.digit >= 0 && modrmReg(insn.modrm) !== encoding.digit) return false;
  if (rmKind === 'M' && modrmMod(insn.modrm) === 3) return false;
  return rmKind !== 'R' || modrmMod(insn.modrm) === 3;
}

/** 66 may stand beside f2 and f3 (`crc32w`), which take precedence. */
function hasPrefix(encoding: Encoding, insn: Insn, ext: Extensions): boolean {
  if (encoding.prefix === 0) return true;
  if (encoding.prefix < 0) return ext.prefix === 0;
  return encoding.prefix === 0x66 ? ext.prefix === 0x66 : ext.prefix === encoding.prefix && insn.vex === 0;
}

function sizeOf(letter: string, size: Size, ext: Extensions): Size {
  switch (letter) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'q':
      return 8;
    case 'y':
      return ext.w ? 8 : 4;
    case 's':
      return size === 2 ? 2 : 8;
    case 'z':
      return size === 2 ? 2 : 4;
    default:
      return size;
  }
}

/** Without REX the byte registers 4 to 7 are ah, ch, dh, bh. */
function register(number: number, size: Size, hasRex: boolean): RegisterOperand {
  if (size === 1)
    return { kind: 'register', size, index: !hasRex && number >= 4 && number < 8 ? (number - 4) * 8 + 1 : number * 8 };
  return { kind: 'register', size, index: size === 2 ? number * 4 : number * 2 };
}

interface Context {
  readonly insn: Insn;
  readonly ext: Extensions;
  readonly bytes: Uint8Array;
  readonly size: Size;
  readonly nextHigh: number;
  readonly nextLow: number;
  readonly opcode: number;
}

function memory(ctx: Context, size: Size): MemoryOperand {
  const parts = addressParts(ctx.insn, ctx.nextHigh, ctx.nextLow, ctx.ext.x, ctx.ext.b);
  const address = effectiveAddress(parts, true);
  const isSimple = parts.base >= 0 && parts.index < 0 && parts.segment < 0 && !parts.is32;
  return {
    kind: 'memory',
    size,
    address,
    ...(isSimple ? { simple: { base: parts.base, displacement: parts.low } } : {}),
  };
}

/** Immediates are read from the bytes: `movabs` has 64 bits. */
function immediate(ctx: Context, letter: string, size: Size): Operand {
  const { insn, bytes } = ctx;
  const { offset, size: length } = insn.immediate;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (length === 8)
    return { kind: 'immediate', size: 8, low: view.getInt32(offset, true), high: view.getInt32(offset + 4, true) };
  const value = letter === 'w' ? view.getUint16(offset, true) : insn.immediate.value | 0;
  return { kind: 'immediate', size, low: value, high: value >> 31 };
}

function branchTarget(ctx: Context): Operand {
  const displacement = ctx.insn.immediate.value | 0;
  const low = (ctx.nextLow + displacement) | 0;
  const high = (ctx.nextHigh + (displacement >> 31) + carryOf(ctx.nextLow, displacement, low)) | 0;
  return { kind: 'immediate', size: 8, low, high };
}

function absolute(ctx: Context, size: Size): MemoryOperand {
  const { offset, size: length } = ctx.insn.immediate;
  const view = new DataView(ctx.bytes.buffer, ctx.bytes.byteOffset, ctx.bytes.byteLength);
  const low = view.getInt32(offset, true);
  const high = length === 8 ? view.getInt32(offset + 4, true) : 0;
  const { segment } = addressParts(ctx.insn, 0, 0, 0, 0);
  const parts = { base: -1, index: -1, shift: 0, low, high, segment, is32: false };
  return { kind: 'memory', size, address: effectiveAddress(parts, true) };
}

function operandOf(code: string, ctx: Context, vSize: Size): Operand {
  const kind = code[0] ?? '';
  const letter = code[1] ?? 'v';
  const size = sizeOf(letter, vSize, ctx.ext);
  const { insn, ext } = ctx;
  const hasRex = insn.rex !== 0 || insn.vex !== 0;
  switch (kind) {
    case 'E':
    case 'M':
    case 'R':
      if (modrmMod(insn.modrm) !== 3) return memory(ctx, size);
      return register(modrmRm(insn.modrm) | (ext.b << 3), size, hasRex);
    case 'G':
      return register(modrmReg(insn.modrm) | (ext.r << 3), size, hasRex);
    case 'B':
      return register(ext.vvvv, size, true);
    case 'Z':
      return register((ctx.opcode & 7) | (ext.b << 3), size, hasRex);
    case 'A':
      return register(0, size, true);
    case 'C':
      return register(1, 1, true);
    case 'J':
      return branchTarget(ctx);
    case 'O':
      return absolute(ctx, size);
    case '1':
      return { kind: 'immediate', size: 1, low: 1, high: 0 };
    default:
      return immediate(ctx, letter, size);
  }
}

/** Where an address is displaced by `length`. */
export function addressBehind(
  high: number,
  low: number,
  length: number,
): { readonly high: number; readonly low: number } {
  const nextLow = (low + length) | 0;
  return { low: nextLow, high: nextLow >>> 0 < low >>> 0 ? (high + 1) | 0 : high };
}

/** The form that bytes have, with the operands; undefined when no implemented form fits (or the bytes are cut off). */
export function instructionAt(bytes: Uint8Array, high: number, low: number): Instruction | undefined {
  const insn = decodeInsn(bytes, 0);
  if (insn === undefined || insn.isInvalid64 || insn.isForcedEmulation || insn.vex === 4) return undefined;
  const ext = insn.vex > 0 ? vexExtensions(bytes, insn) : legacyExtensions(insn);
  const opcode = insn.vex > 0 || ext.map === 0 ? insn.opcode : ext.map === 1 ? insn.opcode2 : insn.opcode3;
  formIndex ??= indexForms();
  const found = formIndex.get(keyOf(insn.vex > 0, ext.map, opcode))?.find((c) => fits(c, insn, ext));
  if (found === undefined) return undefined;
  // A VEX prefix behind REX, 66, f2, f3 or lock is #UD (SDM vol. 2, 2.3.5).
  if (
    insn.vex > 0 &&
    (insn.rex !== 0 || insn.prefixes & (PREFIX_OPERAND_SIZE | PREFIX_REP | PREFIX_REPNE | PREFIX_LOCK))
  )
    return undefined;
  const { form } = found;
  const next = addressBehind(high, low, insn.length);
  const size: Size = insn.vex > 0 ? (ext.w ? 8 : 4) : insn.operandBytes;
  const ctx: Context = { insn, ext, bytes, size, nextHigh: next.high, nextLow: next.low, opcode };
  const codes = form.operands === '' ? [] : form.operands.split(' ');
  return {
    form,
    insn,
    operands: codes.map((code) => operandOf(code, ctx, size)),
    size,
    bytes: bytes.slice(0, insn.length),
    nextHigh: next.high,
    nextLow: next.low,
    high,
    low,
  };
}

/** The operation of an instruction; #UD for a lock prefix where none is allowed. */
export function buildOp(instruction: Instruction): Op {
  const { form, insn, operands } = instruction;
  if (insn.prefixes & PREFIX_LOCK && !(form.lock === true && operands[0]?.kind === 'memory')) {
    return () => {
      throw invalidOpcode('a lock prefix where none is allowed');
    };
  }
  return form.build(instruction);
}
