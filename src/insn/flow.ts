import type { Flow } from './insn.ts';
import { UD0_SECOND_BYTE, UD1_SECOND_BYTE, UD2_SECOND_BYTE } from './opcodes.ts';

interface Opcode {
  readonly vex: number;
  readonly opcode: number;
  readonly opcode2: number;
  readonly modrm: number;
}

const ONE_BYTE_FLOW = new Map<number, Flow>([
  [0xe8, 'call'],
  [0xe9, 'jmp'],
  [0xeb, 'jmp'],
  [0xc2, 'ret'],
  [0xc3, 'ret'],
  [0xca, 'ret-far'],
  [0xcb, 'ret-far'],
  [0x9a, 'far'],
  [0xea, 'far'],
  [0xcf, 'iret'],
  [0xcc, 'int3'],
  [0xcd, 'int'],
  [0xce, 'int'],
  [0xf1, 'int'],
  [0xf4, 'hlt'],
  [0xe0, 'loop'],
  [0xe1, 'loop'],
  [0xe2, 'loop'],
  [0xe3, 'loop'],
]);

const TWO_BYTE_FLOW = new Map<number, Flow>([
  [UD2_SECOND_BYTE, 'ud'],
  [UD1_SECOND_BYTE, 'ud'],
  [UD0_SECOND_BYTE, 'ud'],
  [0x05, 'syscall'],
  [0x07, 'syscall'],
  [0x34, 'syscall'],
  [0x35, 'syscall'],
]);

/** Group 5 (`ff`): /2 and /4 near indirect, /3 and /5 far. */
const GROUP5_FLOW: readonly Flow[] = ['next', 'next', 'call-indirect', 'far', 'jmp-indirect', 'far', 'next', 'next'];

/** What the instruction does to the flow of control, and the condition of a jcc. */
export function classify(insn: Opcode): { readonly flow: Flow; readonly condition?: number } {
  if (insn.vex > 0) return { flow: 'next' };
  const { opcode, opcode2 } = insn;
  if (opcode === 0x0f) {
    if ((opcode2 & 0xf0) === 0x80 && opcode2 >= 0) return { flow: 'jcc', condition: opcode2 & 0xf };
    return { flow: TWO_BYTE_FLOW.get(opcode2) ?? 'next' };
  }
  if (opcode >= 0x70 && opcode <= 0x7f) return { flow: 'jcc', condition: opcode & 0xf };
  if (opcode === 0xff) return { flow: GROUP5_FLOW[(insn.modrm >> 3) & 7] ?? 'next' };
  return { flow: ONE_BYTE_FLOW.get(opcode) ?? 'next' };
}
