import { CALL_INSN_OPCODE, CALL_INSN_SIZE, JMP8_INSN_OPCODE, JMP32_INSN_OPCODE } from './opcodes.ts';

/** True when a signed 32-bit displacement reaches. */
export const fitsS32 = (value: number): boolean => value >= -0x8000_0000 && value <= 0x7fff_ffff;
export const fitsS8 = (value: number): boolean => value >= -0x80 && value <= 0x7f;

function rel32(opcode: number, at: number, to: number): Uint8Array {
  const displacement = to - (at + CALL_INSN_SIZE);
  if (!fitsS32(displacement)) throw new RangeError(`a rel32 at ${at} does not reach ${to}`);
  const bytes = new Uint8Array(5);
  bytes[0] = opcode;
  putS32(bytes, 1, displacement);
  return bytes;
}

/** A DataView would give each of these few bytes a buffer of its own. */
function putS32(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >> (8 * i);
}

/** `call to` as it stands at `at`; both count from `_text`. Throws RangeError beyond ±2 GiB (Linux: ERANGE). */
export const callRel32 = (at: number, to: number): Uint8Array => rel32(CALL_INSN_OPCODE, at, to);

/** `jmp to` (five bytes) as it stands at `at`. Throws RangeError beyond ±2 GiB. */
export const jmpRel32 = (at: number, to: number): Uint8Array => rel32(JMP32_INSN_OPCODE, at, to);

/** `jmp to` (two bytes) as it stands at `at`. Throws RangeError beyond -128..127 of the next instruction. */
export function jmpRel8(at: number, to: number): Uint8Array {
  const displacement = to - (at + 2);
  if (!fitsS8(displacement)) throw new RangeError(`a rel8 at ${at} does not reach ${to}`);
  return Uint8Array.of(JMP8_INSN_OPCODE, displacement & 0xff);
}

/** `jcc to` (six bytes, `0f 8x`) as it stands at `at`; `condition` is the low nibble of the opcode. */
export function jccRel32(condition: number, at: number, to: number): Uint8Array {
  const displacement = to - (at + 6);
  if (!fitsS32(displacement)) throw new RangeError(`a rel32 at ${at} does not reach ${to}`);
  const bytes = new Uint8Array(6);
  bytes[0] = 0x0f;
  bytes[1] = 0x80 | (condition & 0xf);
  putS32(bytes, 2, displacement);
  return bytes;
}

/**
 * Where a near branch (call, jmp, jcc, loop; no prefixes) that stands at `at` goes; undefined when the bytes are none.
 */
export function relTarget(bytes: Uint8Array, at: number): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const opcode = bytes[0];
  if (opcode === undefined) return undefined;
  if ((opcode === CALL_INSN_OPCODE || opcode === JMP32_INSN_OPCODE) && bytes.length >= 5)
    return at + 5 + view.getInt32(1, true);
  const short = opcode === JMP8_INSN_OPCODE || (opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0xe0 && opcode <= 0xe3);
  if (short && bytes.length >= 2) return at + 2 + view.getInt8(1);
  if (opcode === 0x0f && bytes.length >= 6 && ((bytes[1] ?? 0) & 0xf0) === 0x80) return at + 6 + view.getInt32(2, true);
  return undefined;
}
