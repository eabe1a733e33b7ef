import {
  ASM_NOP_MAX,
  ASM_NOP_MAX_6_1,
  decodeInsn,
  INT3_INSN_OPCODE,
  insnLength,
  nop,
  PREFIX_REP,
} from '../../insn/index.ts';

const NOP = 0x90;

/** Operand and address size, segments and REX: what may stand before `90` and `0f 1f`. Other first bytes begin no NOP. */
const MAY_PREFIX_NOP = new Set([0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf2, 0xf3, 0xf0]);
for (let rex = 0x40; rex <= 0x4f; rex++) MAY_PREFIX_NOP.add(rex);

/** `nop` and `nopl`, not `pause` (insn_is_nop, arch/x86/kernel/alternative.c, 6.12). Length, or 0 for another instruction. */
function nopLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first === 0x0f ? bytes[at + 1] !== 0x1f : first !== NOP && !MAY_PREFIX_NOP.has(first)) return 0;
  const insn = decodeInsn(bytes, 0, at);
  if (insn === undefined) return 0;
  if (insn.opcode === NOP && insn.opcodeBytes === 1) return (insn.prefixes & PREFIX_REP) !== 0 ? 0 : insn.length;
  return insn.opcode === 0x0f && insn.opcode2 === 0x1f ? insn.length : 0;
}

/** One effective instruction of `length` bytes: the canonical NOP, or from 12 bytes on a jump over INT3 (add_nop, 6.12). */
function addNop(bytes: Uint8Array, at: number, length: number): void {
  if (length === 0) return;
  if (length <= ASM_NOP_MAX) {
    bytes.set(nop(length), at);
    return;
  }
  bytes.fill(INT3_INSN_OPCODE, at, at + length);
  if (length < 128) {
    bytes[at] = 0xeb;
    bytes[at + 1] = length - 2;
  } else {
    bytes[at] = 0xe9;
    new DataView(bytes.buffer, bytes.byteOffset).setInt32(at + 1, length - 5, true);
  }
}

/** Joins runs of NOPs into the longest (optimize_nops, 6.12). Works on the bytes in place. */
export function optimizeNops(bytes: Uint8Array): void {
  // Most originals have no NOP at all: neither `90` nor the second byte of `0f 1f`.
  if (!bytes.includes(NOP) && !bytes.includes(0x1f)) return;
  for (let at = 0; at < bytes.length; ) {
    const length = insnLength(bytes, at);
    if (length === 0) return;
    let next = at + length;
    if (nopLength(bytes, at) > 0) {
      if (next === bytes.length) return;
      while (next < bytes.length) {
        const more = nopLength(bytes, next);
        if (more === 0) break;
        next += more;
      }
      addNop(bytes, at, next - at);
    }
    at = next;
  }
}

/** Fills with canonical NOPs, longest first (add_nops, 6.1). */
export function addNops61(bytes: Uint8Array, at: number, length: number): void {
  for (let done = 0; done < length; ) {
    const size = Math.min(length - done, ASM_NOP_MAX_6_1);
    bytes.set(nop(size), at + done);
    done += size;
  }
}

/** Joins runs of one-byte NOPs (optimize_nops and optimize_nops_range, 6.1). Works on the bytes in place. */
export function optimizeNops61(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const length = insnLength(bytes, at);
    if (length === 0) return;
    if (length !== 1 || bytes[at] !== NOP) {
      at += length;
      continue;
    }
    let end = at;
    while (end < bytes.length && bytes[end] === NOP) end += 1;
    if (end - at > 1) addNops61(bytes, at, end - at);
    at = end;
  }
}
