import { isEndbr } from './endbr.ts';
import { classify } from './flow.ts';
import {
  type Field,
  type Insn,
  PREFIX_ADDRESS_SIZE,
  PREFIX_CS,
  PREFIX_DS,
  PREFIX_ES,
  PREFIX_FS,
  PREFIX_GS,
  PREFIX_LOCK,
  PREFIX_OPERAND_SIZE,
  PREFIX_REP,
  PREFIX_REPNE,
  PREFIX_SS,
} from './insn.ts';
import { IMM8, IMM16, IMMV, IMMZ, INVALID64, MODRM, ONE_BYTE, PREFIX, SPECIAL, TWO_BYTE } from './opcode-map.ts';
import { MAX_INSN_SIZE } from './opcodes.ts';

/** The fields of the instruction measured last. One object, reused: measuring must not allocate. */
const scan = {
  prefixes: 0,
  rex: 0,
  vex: 0,
  forced: false,
  opcodeBytes: 0,
  opcode: 0,
  opcode2: -1,
  opcode3: -1,
  modrm: -1,
  sib: -1,
  dispAt: 0,
  dispSize: 0,
  immAt: 0,
  immSize: 0,
  invalid: false,
};

const PREFIX_BIT = new Uint16Array(256);
for (const [byte, bit] of [
  [0x66, PREFIX_OPERAND_SIZE],
  [0x67, PREFIX_ADDRESS_SIZE],
  [0xf0, PREFIX_LOCK],
  [0xf2, PREFIX_REPNE],
  [0xf3, PREFIX_REP],
  [0x2e, PREFIX_CS],
  [0x36, PREFIX_SS],
  [0x3e, PREFIX_DS],
  [0x26, PREFIX_ES],
  [0x64, PREFIX_FS],
  [0x65, PREFIX_GS],
] as const)
  PREFIX_BIT[byte] = bit;

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;

/** `ud2` followed by "xen" or "kvm" (insn.c insn_get_emulate_prefix); bytes of it, 0 when there is none. */
function forcedEmulationPrefix(bytes: Uint8Array, at: number): number {
  if (byteAt(bytes, at) !== 0x0f || byteAt(bytes, at + 1) !== 0x0b) return 0;
  const tail = (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 8) | byteAt(bytes, at + 4);
  return tail === 0x78656e || tail === 0x6b766d ? 5 : 0;
}

/** Reads a VEX or EVEX prefix at `p`; the flags of its opcode, or -1 when no opcode map of that number exists. */
function scanVex(bytes: Uint8Array, p: number, lead: number): number {
  scan.vex = lead === 0xc5 ? 2 : lead === 0xc4 ? 3 : 4;
  const map = lead === 0xc5 ? 1 : byteAt(bytes, p + 1) & (lead === 0xc4 ? 0x1f : 0x07);
  const opcode = byteAt(bytes, p + scan.vex);
  if (map === 1) return (TWO_BYTE[opcode] ?? 0) & (MODRM | IMM8);
  if (map === 2 || ((map === 5 || map === 6) && scan.vex === 4)) return MODRM;
  return map === 3 ? MODRM | IMM8 : -1;
}

/** Reads ModRM, SIB and displacement at `p`; where the immediate begins. */
function scanModrm(bytes: Uint8Array, start: number, at: number): number {
  let p = at;
  const modrm = byteAt(bytes, p);
  p += 1;
  scan.modrm = modrm;
  const mod = modrm >> 6;
  if (mod === 3) return p;
  let base = -1;
  if ((modrm & 7) === 4) {
    scan.sib = byteAt(bytes, p);
    p += 1;
    base = scan.sib & 7;
  }
  const size = mod === 1 ? 1 : mod === 2 || (modrm & 7) === 5 || base === 5 ? 4 : 0;
  scan.dispAt = p - start;
  scan.dispSize = size;
  return p + size;
}

/** Length in bytes of the immediates of an opcode with these flags. */
function immediateSize(flags: number, operandBytes: number): number {
  let size = 0;
  if (flags & IMM8) size += 1;
  if (flags & IMM16) size += 2;
  if (flags & IMMZ) size += operandBytes === 2 ? 2 : 4;
  if (flags & IMMV) size += operandBytes;
  return size;
}

const operandBytesOf = (): 2 | 4 | 8 => (scan.rex & 8 ? 8 : scan.prefixes & PREFIX_OPERAND_SIZE ? 2 : 4);

/** Flags of the opcodes that the table marks SPECIAL; -1 when undecodable. */
function specialFlags(bytes: Uint8Array, p: number, opcode: number): number {
  if (opcode === 0x62 || opcode === 0xc4 || opcode === 0xc5) return scanVex(bytes, p, opcode);
  if (opcode === 0xf6 || opcode === 0xf7) {
    const isTest = ((byteAt(bytes, p + 1) >> 3) & 7) < 2;
    return MODRM | (isTest ? (opcode === 0xf6 ? IMM8 : IMMZ) : 0);
  }
  return opcode === 0xd5 ? -1 : SPECIAL;
}

/** Immediate bytes of moffs (a0 to a3) and of the far pointers (9a, ea), which 64-bit mode does not have. */
function specialImmediate(opcode: number): number {
  if (opcode !== 0x9a && opcode !== 0xea) return scan.prefixes & PREFIX_ADDRESS_SIZE ? 4 : 8;
  scan.invalid = true;
  return operandBytesOf() === 2 ? 4 : 6;
}

/** Measures the instruction at `start` into {@link scan}; its length, 0 when it cannot be decoded or does not end within `bytes`. */
function measure(bytes: Uint8Array, start: number): number {
  const limit = Math.min(bytes.length, start + MAX_INSN_SIZE);
  let p = start;
  scan.prefixes = scan.rex = scan.vex = 0;
  scan.opcode2 = scan.opcode3 = scan.modrm = scan.sib = -1;
  scan.dispSize = scan.immSize = 0;
  scan.forced = scan.invalid = false;

  let opcode = byteAt(bytes, p);
  if (opcode === 0x0f) {
    const forced = forcedEmulationPrefix(bytes, p);
    scan.forced = forced > 0;
    p += forced;
    opcode = byteAt(bytes, p);
  }
  let flags = ONE_BYTE[opcode] ?? 0;
  while (flags === PREFIX && p < limit) {
    scan.prefixes |= PREFIX_BIT[opcode] ?? 0;
    p += 1;
    opcode = byteAt(bytes, p);
    flags = ONE_BYTE[opcode] ?? 0;
  }
  if ((opcode & 0xf0) === 0x40) {
    scan.rex = opcode;
    p += 1;
    opcode = byteAt(bytes, p);
    flags = ONE_BYTE[opcode] ?? 0;
    // A prefix behind REX: processors ignore that REX, the kernel's decoder takes the prefix for an opcode without operands.
    if (flags === PREFIX) flags = 0;
  }

  scan.opcodeBytes = 1;
  if (opcode === 0x0f) {
    p += 1;
    scan.opcode2 = byteAt(bytes, p);
    scan.opcodeBytes = 2;
    flags = TWO_BYTE[scan.opcode2] ?? 0;
    if (flags === SPECIAL) {
      p += 1;
      scan.opcode3 = byteAt(bytes, p);
      scan.opcodeBytes = 3;
      flags = scan.opcode2 === 0x3a ? MODRM | IMM8 : MODRM;
    }
  } else if (flags & SPECIAL) {
    flags = specialFlags(bytes, p, opcode);
    if (flags < 0) return 0;
    if (scan.vex > 0) {
      p += scan.vex;
      opcode = byteAt(bytes, p);
    }
  }
  p += 1;
  scan.opcode = opcode;
  if (flags & INVALID64) scan.invalid = true;
  if (flags & MODRM) p = scanModrm(bytes, start, p);
  scan.immAt = p - start;
  scan.immSize =
    flags === SPECIAL ? specialImmediate(opcode) : flags > MODRM ? immediateSize(flags, operandBytesNear(opcode)) : 0;
  p += scan.immSize;
  return p <= limit ? p - start : 0;
}

/** Near branches ignore the operand-size prefix in 64-bit mode (the opcode map's f64): their displacement has four bytes. */
function operandBytesNear(opcode: number): 2 | 4 | 8 {
  if (scan.vex === 0 && (opcode === 0xe8 || opcode === 0xe9)) return 4;
  if (opcode === 0x0f && (scan.opcode2 & 0xf0) === 0x80) return 4;
  return operandBytesOf();
}

/**
 * Length in bytes (1 to 15) of the instruction at index `at`, as the kernel's decoder measures it (arch/x86/lib/insn.c, 6.12);
 * 0 when it cannot be decoded or is cut off by the end of `bytes`. Does not allocate.
 */
export function insnLength(bytes: Uint8Array, at = 0): number {
  return measure(bytes, at);
}

const NONE: Field = { offset: 0, size: 0, value: 0 };

function field(bytes: Uint8Array, base: number, offset: number, size: number): Field {
  if (size === 0) return NONE;
  const view = new DataView(bytes.buffer, bytes.byteOffset + base + offset, size);
  let value: number;
  if (size === 1) value = view.getInt8(0);
  else if (size === 2) value = view.getInt16(0, true);
  else if (size === 8) value = Number(view.getBigInt64(0, true));
  else value = size === 4 ? view.getInt32(0, true) : view.getInt16(0, true);
  return { offset, size, value };
}

/**
 * Decodes the instruction that stands at index `at` of `bytes` and at `offset` of the text. Undefined when the kernel's decoder
 * would fail (cut off, no such VEX or EVEX map, REX2) too.
 */
export function decodeInsn(bytes: Uint8Array, offset: number, at = 0): Insn | undefined {
  const length = measure(bytes, at);
  if (length === 0) return undefined;
  const displacement = field(bytes, at, scan.dispAt, scan.dispSize);
  const immediate = field(bytes, at, scan.immAt, scan.immSize);
  const { flow, condition } = classify(scan);
  const isBranch = flow === 'jmp' || flow === 'jcc' || flow === 'call' || flow === 'loop';
  const isRipRelative = scan.modrm >= 0 && (scan.modrm & 0xc7) === 0x05;
  return {
    offset,
    length,
    prefixes: scan.prefixes,
    rex: scan.rex,
    vex: scan.vex as Insn['vex'],
    isForcedEmulation: scan.forced,
    opcode: scan.opcode,
    opcode2: scan.opcode2,
    opcode3: scan.opcode3,
    opcodeBytes: scan.opcodeBytes,
    modrm: scan.modrm,
    sib: scan.sib,
    displacement,
    immediate,
    addressBytes: scan.prefixes & PREFIX_ADDRESS_SIZE ? 4 : 8,
    operandBytes: operandBytesOf(),
    flow,
    ...(isBranch ? { target: offset + length + immediate.value } : {}),
    ...(condition === undefined ? {} : { condition }),
    ...(isRipRelative
      ? { ripRelative: { dispOffset: displacement.offset, target: offset + length + displacement.value } }
      : {}),
    isEndbr: isEndbr(bytes, at),
    isInvalid64: scan.invalid,
  };
}
