import {
  CALL_INSN_OPCODE,
  decodeInsn,
  fitsS8,
  INT3_INSN_OPCODE,
  JMP8_INSN_OPCODE,
  JMP32_INSN_OPCODE,
} from '../../insn/index.ts';

/** True when a destination, counted from the replacement's start, lies outside of the replacement and so has to be adjusted. */
const needReloc = (target: number, length: number): boolean => target < 0 || target > length;

function adjust(view: DataView, at: number, size: number, by: number): void {
  if (size === 1) view.setInt8(at, view.getInt8(at) + by);
  else if (size === 2) view.setInt16(at, view.getInt16(at, true) + by, true);
  else if (size === 4) view.setInt32(at, view.getInt32(at, true) + by, true);
}

/**
 * Adjusts what is relative in `bytes`, that were copied from `source` (`sourceLength` bytes) and will stand at `at`, both offsets from `_text`;
 * shortens a `jmp rel32` that reaches with a byte (text_poke_apply_relocation without the NOPs, arch/x86/kernel/alternative.c, 6.12).
 */
export function applyRelocation(bytes: Uint8Array, at: number, source: number, sourceLength: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const by = source - at;
  for (let i = 0; i < bytes.length; ) {
    const insn = decodeInsn(bytes, 0, i);
    if (insn === undefined) return;
    const next = i + insn.length;
    const isBranch =
      (insn.opcode === 0x0f && insn.opcode2 >= 0x80 && insn.opcode2 <= 0x8f) ||
      (insn.opcode >= 0x70 && insn.opcode <= 0x7f) ||
      insn.opcode === JMP8_INSN_OPCODE ||
      insn.opcode === JMP32_INSN_OPCODE ||
      insn.opcode === CALL_INSN_OPCODE;
    if (isBranch && insn.vex === 0) {
      if (needReloc(next + insn.immediate.value, sourceLength))
        adjust(view, i + insn.immediate.offset, insn.immediate.size, by);
      // Linux shortens with the replacement's own displacement, relocated or not: a jump within the block is not in its tables.
      const short = insn.immediate.value + by + 3;
      if (insn.opcode === JMP32_INSN_OPCODE && fitsS8(short)) {
        bytes.fill(INT3_INSN_OPCODE, i, next);
        bytes[i] = JMP8_INSN_OPCODE;
        bytes[i + 1] = short & 0xff;
      }
    }
    if (insn.ripRelative !== undefined && needReloc(next + insn.displacement.value, sourceLength)) {
      adjust(view, i + insn.displacement.offset, insn.displacement.size, by);
    }
    i = next;
  }
}
