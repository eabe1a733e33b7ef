/** Writes a relocation's number into its instruction (bpf_core_patch_insn, tools/lib/bpf/relo_core.c, 6.12). */
import {
  BPF_ALU,
  BPF_ALU64,
  BPF_B,
  BPF_CALL,
  BPF_DW,
  BPF_H,
  BPF_JMP,
  BPF_LD_IMM64,
  BPF_LDX,
  BPF_ST,
  BPF_STX,
  BPF_W,
  BPF_X,
} from '../../bpf/index.ts';
import type { CodeBytes } from '../code-bytes.ts';
import { fail } from './core-fault.ts';
import type { CoreResult } from './values.ts';

/** The helper that a poisoned instruction calls: 0xbad2310, "bad relo". */
export const POISON_HELPER = 195_896_080;
const OFFSET_MAX = 0x7fffn;
const SIZES: ReadonlyMap<number, number> = new Map([
  [1, BPF_B],
  [2, BPF_H],
  [4, BPF_W],
  [8, BPF_DW],
]);
const CLASS = 0x07;
const SIZE = 0x18;
const MODE = 0xe0;

function poison(code: CodeBytes, slot: number): void {
  const slots = code.opcode(slot) === BPF_LD_IMM64 ? 2 : 1;
  for (let i = 0; i < slots; i++) code.set(slot + i, BPF_JMP | BPF_CALL, 0, 0, POISON_HELPER);
}

const unsigned = (value: number): bigint => BigInt.asUintN(64, BigInt(value));

function expect(result: CoreResult, actual: bigint, field: string): void {
  if (result.from !== undefined && result.from !== actual)
    fail(`the instruction's ${field} is ${actual}, and the object's own types say ${result.from}`);
}

/** Which field of the instruction takes the number; fails for instructions that take none. */
function formOf(code: CodeBytes, slot: number): 'immediate' | 'offset' | 'wide' {
  const opcode = code.opcode(slot);
  switch (opcode & CLASS) {
    case BPF_ALU:
    case BPF_ALU64:
      if ((opcode & BPF_X) === 0) return 'immediate';
      break;
    case BPF_LDX:
    case BPF_ST:
    case BPF_STX:
      return 'offset';
    default:
      if (opcode === BPF_LD_IMM64) return 'wide';
  }
  return fail(`opcode 0x${opcode.toString(16)} takes no such relocation`);
}

function patchOffset(code: CodeBytes, slot: number, result: CoreResult): void {
  expect(result, unsigned(code.off(slot)), 'offset');
  if (result.to > OFFSET_MAX) fail(`offset ${result.to} does not fit the instruction`, 'ERANGE');
  if (result.isSizeWrong) {
    poison(code, slot);
    return;
  }
  code.setOff(slot, Number(result.to));
  if (result.fromSize === result.toSize) return;
  const opcode = code.opcode(slot);
  if ((opcode & SIZE) !== SIZES.get(result.fromSize))
    fail(`the instruction does not access the field's ${result.fromSize} bytes`);
  const size = SIZES.get(result.toSize) ?? fail(`no instruction accesses ${result.toSize} bytes`);
  code.setOpcode(slot, (opcode & (MODE | CLASS)) | size);
}

const low = (value: bigint): number => Number(BigInt.asIntN(32, value));

function patchWide(code: CodeBytes, slot: number, result: CoreResult): void {
  const actual = BigInt(code.imm(slot) >>> 0) | (BigInt(code.imm(slot + 1) >>> 0) << 32n);
  expect(result, actual, 'immediate');
  code.setImm(slot, low(result.to));
  code.setImm(slot + 1, low(result.to >> 32n));
}

function checkWide(code: CodeBytes, slot: number): void {
  const second = slot + 1;
  const isWhole =
    code.has(second) && code.opcode(second) === 0 && code.registers(second) === 0 && code.off(second) === 0;
  if (!isWhole || code.source(slot) !== 0 || code.off(slot) !== 0) fail('the 64-bit immediate has an unexpected form');
}

/** Throws CoreProblem for an instruction that no such relocation can be for. */
export function patchCore(code: CodeBytes, slot: number, result: CoreResult): void {
  const form = formOf(code, slot);
  if (form === 'wide') checkWide(code, slot);
  if (result.isPoisoned) {
    poison(code, slot);
  } else if (form === 'immediate') {
    expect(result, unsigned(code.imm(slot)), 'immediate');
    code.setImm(slot, low(result.to));
  } else if (form === 'offset') patchOffset(code, slot, result);
  else patchWide(code, slot, result);
}
