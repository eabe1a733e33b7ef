/** By the mask of which of the last three bytes were E8 or E9: whether a conversion may follow. */
const ALLOWED = [true, true, true, false, true, false, false, false];
/** By the same mask: how many bytes back the newest of them lies. */
const DISTANCE = [0, 1, 2, 2, 3, 3, 3, 3];

const isSignByte = (byte: number): boolean => byte === 0 || byte === 0xff;

/** The operand at `i` + 1 turned from absolute back to relative, 25 bits sign-extended. */
function relativeOperand(absolute: number, place: number, mask: number): number {
  let source = absolute;
  let target = (source - (place + 5)) >>> 0;
  // The encoder took the second form where the first would have looked like an opcode; more than one turn is never needed.
  for (let turn = 0; turn < 4 && mask !== 0; turn++) {
    const bits = (DISTANCE[mask] as number) * 8;
    if (!isSignByte((target >>> (24 - bits)) & 0xff)) break;
    source = (target ^ (2 ** (32 - bits) - 1)) >>> 0;
    target = (source - (place + 5)) >>> 0;
  }
  target &= 0x01ffffff;
  return (target & 0x01000000) !== 0 ? (target | 0xfe000000) >>> 0 : target;
}

/**
 * Undoes the x86 branch filter of .xz (filter id 4) in place: operands of CALL and JMP rel32, made absolute to compress better, become relative
 * again. The bytes count from 0 and are all there at once.
 */
export function decodeX86Bcj(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let previous = -1;
  let mask = 0;
  for (let i = 0; i < bytes.length - 4; i++) {
    if (((bytes[i] as number) & 0xfe) !== 0xe8) continue;
    const gap = i - previous;
    previous = i;
    if (gap > 3) mask = 0;
    else {
      mask = (mask << (gap - 1)) & 7;
      if (mask !== 0 && (!ALLOWED[mask] || isSignByte(bytes[i + 4 - (DISTANCE[mask] as number)] as number))) {
        mask = (mask << 1) | 1;
        continue;
      }
    }
    if (isSignByte(bytes[i + 4] as number)) {
      view.setUint32(i + 1, relativeOperand(view.getUint32(i + 1, true), i, mask), true);
      i += 4;
    } else mask = (mask << 1) | 1;
  }
}
