import { JMP8_INSN_OPCODE, jmpRel8, jmpRel32, NOP2, NOP5 } from '../../insn/index.ts';
import type { BootContext } from './context.ts';
import type { JumpEntry } from './jump-entries.ts';
import { initiallyEnabled, type KeyStates } from './static-keys.ts';

const NOP2_FIRST_BYTE = 0x66;

/**
 * Text of the keys whose state differs from what the file has: JMP where enabled XOR branch, else the NOP of its length
 * (jump_label_type). All other entries are as the build left them, and so they stay.
 */
export function patchJumpLabels(boot: BootContext, entries: readonly JumpEntry[], states: KeyStates): void {
  const { text } = boot;
  for (const entry of entries) {
    const state = states.get(entry.key);
    if (state === undefined || state === initiallyEnabled(boot, entry.key) || !text.has(entry.code, 2)) continue;
    const first = text.view(entry.code, 1)[0];
    const isShort = first === JMP8_INSN_OPCODE || first === NOP2_FIRST_BYTE;
    const isJump = state !== entry.isBranch;
    if (isShort) text.write(entry.code, isJump ? jmpRel8(entry.code, entry.target) : NOP2);
    else text.write(entry.code, isJump ? jmpRel32(entry.code, entry.target) : NOP5);
    boot.report.count('jump label');
  }
}
