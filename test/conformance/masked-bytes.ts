/** Generated code lives where it finds room, so calls into it are compared by their opcode; calls into core text by their target. */
const GENERATED_CODE_START = 0xffff_ffff_c000_0000n;
const CALL = 0xe8;
const JMP = 0xe9;
const INT3 = 0xcc;

/**
 * Recorded or present bytes in the form in which they can be compared: one word per byte.
 *
 * `probes` are places of kprobes in the body, by their offset in the bytes: such a place has an int3 or, once the optimizer ran, a jmp,
 * and after the probe left Linux may still have either. Recordings do not say when the optimizer ran, so the five bytes are left out; only
 * where `isJump` says that a jump is to be there are they compared as a jump into generated code.
 */
export function comparable(
  hex: string,
  pristineHex: string,
  address: bigint,
  probes: ReadonlyMap<number, 'armed' | 'gone'>,
  isJump: (offset: number) => boolean = () => false,
): string {
  const bytes = Buffer.from(hex, 'hex');
  const pristine = Buffer.from(pristineHex, 'hex');
  const words = [...bytes].map((byte) => byte.toString(16).padStart(2, '0'));
  for (const [offset, state] of probes) {
    const byte = bytes[offset];
    const isProbe = byte === INT3 || byte === JMP || (state === 'gone' && byte === pristine[offset]);
    if (isProbe && !isJump(offset)) words.fill('probe', offset, offset + 5);
  }
  for (let at = 0; at + 5 <= bytes.length; ) {
    const isNew = bytes[at] !== pristine[at] && words[at] !== 'probe';
    if (!isNew || (bytes[at] !== CALL && bytes[at] !== JMP)) {
      at += 1;
      continue;
    }
    const target = BigInt.asUintN(64, address + BigInt(at + 5 + bytes.readInt32LE(at + 1)));
    if (target >= GENERATED_CODE_START) words.fill('generated', at + 1, at + 5);
    at += 5;
  }
  return words.join(' ');
}
