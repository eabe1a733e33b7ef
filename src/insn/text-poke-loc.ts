import { copyOf } from '../base/index.ts';
import { decodeInsn } from './decode.ts';
import { isNop } from './nops.ts';
import {
  CALL_INSN_OPCODE,
  CALL_INSN_SIZE,
  INT3_INSN_OPCODE,
  JMP8_INSN_OPCODE,
  JMP32_INSN_OPCODE,
  POKE_MAX_OPCODE_SIZE,
  RET_INSN_OPCODE,
} from './opcodes.ts';

/**
 * One entry of the poke vector (`struct text_poke_loc`, arch/x86/kernel/alternative.c, 6.12).
 * `opcode` is what the int3 handler emulates: INT3, RET, CALL, JMP8, JMP32 or 0x70 to 0x7f (jcc of either size: `len` 6 is the long one).
 */
export interface PokeLoc {
  readonly at: number;
  /** Bytes of text that the poke replaces: 1, 2, 5 or 6 (other lengths only padded with int3). */
  readonly len: number;
  readonly opcode: number;
  /** Displacement from the end of the slot; 0 for a NOP, which is emulated as a jump to the next instruction. */
  readonly disp: number;
  /** The new bytes, all of them (Linux keeps a long jcc without its 0f). */
  readonly text: Uint8Array;
  /** The instruction that the handler plays where it differs from the new bytes (static_call's `xor %eax,%eax`). */
  readonly emulate: Uint8Array | undefined;
}

/** Linux has no errno for a bad entry: it is BUG. `reason` says which claim failed. */
export type PokeLocResult =
  | { readonly ok: true; readonly value: PokeLoc }
  | { readonly ok: false; readonly reason: string };

const bug = (reason: string): PokeLocResult => ({ ok: false, reason });

/**
 * Checks a new instruction the way `text_poke_loc_init` does (6.12): what may stand at a live site, and what its int3 handler does.
 *
 * @param bytes the new text, 1 to 6 bytes @param at where, counted from `_text` @param emulate played by the handler instead of `bytes`
 */
export function pokeLoc(bytes: Uint8Array, at: number, emulate?: Uint8Array): PokeLocResult {
  const len = bytes.length;
  // A long jcc loses its 0f in the vector, which therefore holds five bytes at most.
  if (len === 0 || len - (len === 6 ? 1 : 0) > POKE_MAX_OPCODE_SIZE) return bug(`${len} bytes do not fit an entry`);
  const usual = emulate === undefined && len === CALL_INSN_SIZE ? usualLoc(bytes, at) : undefined;
  if (usual !== undefined) return { ok: true, value: usual };
  const played = emulate ?? bytes;
  const insn = decodeInsn(played, at);
  if (insn === undefined) return bug('the new instruction does not decode');

  const isLongJcc = insn.opcode === 0x0f && (insn.opcode2 & 0xf0) === 0x80 && insn.opcodeBytes === 2;
  const opcode = isLongJcc ? insn.opcode2 - 0x10 : insn.opcode;
  const entry = (handled: number, disp: number): PokeLocResult => ({
    ok: true,
    value: { at, len, opcode: handled, disp, text: copyOf(bytes), emulate: emulate && copyOf(emulate) },
  });

  if (opcode === RET_INSN_OPCODE || opcode === JMP32_INSN_OPCODE || opcode === JMP8_INSN_OPCODE) {
    if (insn.length > len) return bug(`an instruction of ${insn.length} bytes in a slot of ${len}`);
    for (let i = insn.length; i < len; i += 1)
      if (bytes[i] !== INT3_INSN_OPCODE) return bug(`byte ${i} behind a ret or jmp is not int3 padding`);
  } else if (insn.length !== len) return bug(`an instruction of ${insn.length} bytes in a slot of ${len}`);

  if (opcode === INT3_INSN_OPCODE || opcode === RET_INSN_OPCODE) return entry(opcode, 0);
  const isRelative = opcode === CALL_INSN_OPCODE || opcode === JMP32_INSN_OPCODE || opcode === JMP8_INSN_OPCODE;
  if (isRelative || (opcode >= 0x70 && opcode <= 0x7f)) return entry(opcode, insn.immediate.value);
  if (len === 2 && isNop(played, 2)) return entry(JMP8_INSN_OPCODE, 0);
  if (len === 5 && isNop(played, 5)) return entry(JMP32_INSN_OPCODE, 0);
  return bug('neither int3, ret, jmp, call, jcc nor a canonical two- or five-byte nop');
}

/** A call and the five-byte nop, which nearly all pokes write, are told without decoding; undefined: it is neither. */
function usualLoc(bytes: Uint8Array, at: number): PokeLoc | undefined {
  const isCall = bytes[0] === CALL_INSN_OPCODE;
  if (!isCall && !isNop(bytes, CALL_INSN_SIZE)) return undefined;
  return {
    at,
    len: CALL_INSN_SIZE,
    opcode: isCall ? CALL_INSN_OPCODE : JMP32_INSN_OPCODE,
    disp: isCall ? rel32Of(bytes) : 0,
    text: copyOf(bytes),
    emulate: undefined,
  };
}

const rel32Of = (bytes: Uint8Array): number =>
  (bytes[1] ?? 0) | ((bytes[2] ?? 0) << 8) | ((bytes[3] ?? 0) << 16) | ((bytes[4] ?? 0) << 24);
